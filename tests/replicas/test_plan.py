"""What a node advertises under a config."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.config.check.registry import SECTIONS
from rota.config.findings import Level, Mark
from rota.config.schema import (
    Config,
    DeviceSelection,
    Flags,
    MigStrategy,
    ResourcePattern,
    SharedResource,
    Sharing,
)
from rota.model import Gpu, Inventory, MigDevice
from rota.replicas.plan import Plan, plan

CALM = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""No clock judges a property, and each run looks at the same examples."""

GPU = "nvidia.com/gpu"


def gpu(index: int, *profiles: str, product: str = "NVIDIA A100-SXM4-80GB") -> Gpu:
    return Gpu(
        uuid=f"GPU-{index}",
        index=index,
        minor=index,
        product=product,
        memory_bytes=80 << 30,
        compute_capability=(8, 0),
        mig_enabled=bool(profiles),
        mig_devices=tuple(
            MigDevice(f"MIG-{index}-{n}", n, profile, 10 << 30)
            for n, profile in enumerate(profiles)
        ),
    )


def node(*gpus: Gpu) -> Inventory:
    return Inventory(gpus)


TWO = node(gpu(0), gpu(1))


def shared(
    *entries: SharedResource,
    mig: MigStrategy = "none",
    rename_by_default: bool = False,
    gpus: tuple[ResourcePattern, ...] = (),
    migs: tuple[ResourcePattern, ...] = (),
) -> Config:
    return Config(
        flags=Flags(mig_strategy=mig),
        gpu_patterns=gpus,
        mig_patterns=migs,
        sharing=Sharing(
            "time-slicing" if entries else "none",
            rename_by_default=rename_by_default,
            resources=entries,
        ),
    )


def only(*items: str) -> DeviceSelection:
    return DeviceSelection(all=False, items=items)


def first(count: int) -> DeviceSelection:
    return DeviceSelection(all=False, count=count)


def ids(made: Plan, name: str = GPU) -> list[str]:
    resource = made.resource(name)
    return [replica.id for replica in resource.replicas] if resource else []


def said(made: Plan) -> list[tuple[str, Level]]:
    return [(finding.id, finding.level) for finding in made.findings]


# Sharing


def test_without_sharing_each_gpu_is_one_device_with_its_bare_uuid() -> None:
    made = plan(Config(), TWO)
    assert ids(made) == ["GPU-0", "GPU-1"]
    assert made.resources[0].sharing == "none"
    assert not made.findings


def test_four_replicas_of_each_gpu() -> None:
    made = plan(shared(SharedResource(GPU, 4)), TWO)
    assert ids(made) == [f"GPU-{g}::{n}" for g in (0, 1) for n in range(4)]
    assert made.resources[0].shared
    assert made.resources[0].replicas_of("GPU-1") == 4


def test_the_first_gpus_by_a_count_are_shared_and_the_rest_stay_whole() -> None:
    made = plan(shared(SharedResource(GPU, 2, first(1))), TWO)
    assert ids(made) == ["GPU-0::0", "GPU-0::1", "GPU-1"]
    assert not made.findings


def test_gpus_are_chosen_by_index_and_by_uuid() -> None:
    by_index = plan(shared(SharedResource(GPU, 2, only("1"))), TWO)
    by_uuid = plan(shared(SharedResource(GPU, 2, only("GPU-1"))), TWO)
    assert ids(by_index) == ids(by_uuid) == ["GPU-0", "GPU-1::0", "GPU-1::1"]


def test_mig_devices_are_chosen_by_gpu_and_mig_index_and_by_uuid() -> None:
    one = node(gpu(0, "1g.10gb", "1g.10gb", "1g.10gb"))
    entry = SharedResource("nvidia.com/mig-1g.10gb", 2, only("0:1", "MIG-0-2"))
    made = plan(shared(entry, mig="mixed"), one)
    assert ids(made, "nvidia.com/mig-1g.10gb") == [
        "MIG-0-0",
        "MIG-0-1::0",
        "MIG-0-1::1",
        "MIG-0-2::0",
        "MIG-0-2::1",
    ]


def test_entries_for_different_gpus_give_each_its_own_count() -> None:
    entries = SharedResource(GPU, 2, only("0")), SharedResource(GPU, 3, only("1"))
    made = plan(shared(*entries), TWO)
    assert made.resources[0].replicas_of("GPU-0") == 2
    assert made.resources[0].replicas_of("GPU-1") == 3
    assert not made.findings


def test_of_two_entries_about_one_gpu_the_larger_count_serves_and_it_is_said() -> None:
    for entries in ((2, 5), (5, 2)):
        made = plan(shared(*(SharedResource(GPU, count) for count in entries)), node(gpu(0)))
        assert len(ids(made)) == 5
        assert said(made) == [("device-shared-twice", Level.NOTE)]


# Names


def test_rename_serves_shared_gpus_under_another_name_and_whole_ones_under_their_own() -> None:
    made = plan(shared(SharedResource(GPU, 2, only("1"), rename="nvidia.com/slice")), TWO)
    assert ids(made) == ["GPU-0"]
    assert ids(made, "nvidia.com/slice") == ["GPU-1::0", "GPU-1::1"]
    slices = made.resource("nvidia.com/slice")
    assert slices is not None
    assert slices.renamed_from == GPU


def test_rename_by_default_adds_shared_unless_an_entry_says_otherwise() -> None:
    made = plan(shared(SharedResource(GPU, 2), rename_by_default=True), TWO)
    assert [resource.name for resource in made.resources] == ["nvidia.com/gpu.shared"]
    own = SharedResource(GPU, 2, rename="nvidia.com/slice")
    assert plan(shared(own, rename_by_default=True), TWO).resources[0].name == "nvidia.com/slice"


def test_two_resources_renamed_to_one_name_are_one_resource() -> None:
    both = node(gpu(0, "1g.10gb"), gpu(1))
    made = plan(
        shared(
            SharedResource("nvidia.com/mig-1g.10gb", 2, rename="nvidia.com/slice"),
            SharedResource(GPU, 2, rename="nvidia.com/slice"),
            mig="mixed",
        ),
        both,
    )
    assert ids(made, "nvidia.com/slice") == ["MIG-0-0::0", "MIG-0-0::1", "GPU-1::0", "GPU-1::1"]


def test_patterns_name_gpus_by_product_and_the_first_that_matches_counts() -> None:
    mixed = node(gpu(0, product="Tesla T4"), gpu(1), gpu(2, product="NVIDIA H200"))
    patterns = (
        ResourcePattern("Tesla*", "nvidia.com/t4"),
        ResourcePattern("*A100*", "nvidia.com/a100"),
        ResourcePattern("NVIDIA*", "nvidia.com/big"),
    )
    made = plan(shared(gpus=patterns), mixed)
    assert {resource.name: ids(made, resource.name) for resource in made.resources} == {
        "nvidia.com/t4": ["GPU-0"],
        "nvidia.com/a100": ["GPU-1"],
        "nvidia.com/big": ["GPU-2"],
    }


def test_a_gpu_that_no_pattern_names_keeps_nvidias_name_and_an_idle_pattern_is_noted() -> None:
    made = plan(shared(gpus=(ResourcePattern("Tesla*", "nvidia.com/t4"),)), TWO)
    assert ids(made) == ["GPU-0", "GPU-1"]
    assert said(made) == [("pattern-without-device", Level.NOTE)]


def test_a_resource_that_a_pattern_made_can_be_shared() -> None:
    config = shared(
        SharedResource("nvidia.com/a100", 2), gpus=(ResourcePattern("*", "nvidia.com/a100"),)
    )
    assert len(ids(plan(config, TWO), "nvidia.com/a100")) == 4


# MIG


def test_strategy_none_serves_whole_gpus_and_says_what_stays_hidden() -> None:
    made = plan(shared(), node(gpu(0, "1g.10gb", "1g.10gb"), gpu(1)))
    assert ids(made) == ["GPU-0", "GPU-1"]
    assert said(made) == [("mig-hidden", Level.NOTE)]


def test_strategy_single_serves_mig_devices_as_gpus() -> None:
    made = plan(shared(mig="single"), node(gpu(0, "1g.10gb", "1g.10gb"), gpu(1, "1g.10gb")))
    assert ids(made) == ["MIG-0-0", "MIG-0-1", "MIG-1-0"]


def test_strategy_single_without_any_mig_serves_whole_gpus() -> None:
    assert ids(plan(shared(mig="single"), TWO)) == ["GPU-0", "GPU-1"]


def test_strategy_single_refuses_unequal_mig_devices() -> None:
    made = plan(shared(mig="single"), node(gpu(0, "1g.10gb", "2g.20gb")))
    assert made.failed
    assert not made.resources
    assert said(made) == [("mig-single-unequal", Level.ERROR)]


def test_strategy_single_refuses_some_gpus_with_mig_and_some_without() -> None:
    made = plan(shared(mig="single"), node(gpu(0, "1g.10gb"), gpu(1)))
    assert said(made) == [("mig-single-some", Level.ERROR)]


def test_mig_mode_without_mig_devices_is_refused_as_nvidia_does() -> None:
    empty = Gpu("GPU-0", 0, 0, "NVIDIA H100", 80 << 30, (9, 0), mig_enabled=True)
    for strategy in ("single", "mixed"):
        assert said(plan(Config(flags=Flags(mig_strategy=strategy)), node(empty))) == [
            ("mig-empty", Level.ERROR)
        ]


def test_strategy_mixed_names_mig_devices_by_profile_beside_whole_gpus() -> None:
    made = plan(shared(mig="mixed"), node(gpu(0, "3g.40gb", "1g.10gb+me"), gpu(1)))
    assert [resource.name for resource in made.resources] == [
        GPU,
        "nvidia.com/mig-1g.10gb.me",
        "nvidia.com/mig-3g.40gb",
    ]


def test_a_part_of_a_gpu_instance_has_no_name_by_itself_and_one_by_pattern() -> None:
    one = node(gpu(0, "1c.3g.40gb", "1g.10gb"))
    made = plan(shared(mig="mixed"), one)
    assert [resource.name for resource in made.resources] == ["nvidia.com/mig-1g.10gb"]
    assert said(made) == [("mig-no-name", Level.WARNING)]
    named = plan(shared(mig="mixed", migs=(ResourcePattern("1c.*", "nvidia.com/part"),)), one)
    assert ids(named, "nvidia.com/part") == ["MIG-0-0"]


# What is not there


def test_a_resource_that_the_node_lacks_is_said_with_its_place() -> None:
    made = plan(shared(SharedResource("nvidia.com/gqu", 4, line=6)), TWO, file="c.yaml")
    (finding,) = made.findings
    assert (finding.id, finding.level) == ("resource-not-here", Level.WARNING)
    assert finding.mark == Mark("c.yaml", 6, 1)
    assert "nvidia.com/gpu" in finding.hint
    assert ids(made) == ["GPU-0", "GPU-1"]


def test_a_device_that_is_not_on_the_node_is_said_and_the_others_are_shared() -> None:
    made = plan(shared(SharedResource(GPU, 2, only("1", "7"))), TWO)
    assert ids(made) == ["GPU-0", "GPU-1::0", "GPU-1::1"]
    assert said(made) == [("device-not-here", Level.WARNING)]
    assert "device 7" in made.findings[0].message


def test_a_device_of_another_resource_is_said_with_its_name() -> None:
    both = node(gpu(0, "1g.10gb"), gpu(1))
    made = plan(shared(SharedResource(GPU, 2, only("0:0")), mig="mixed"), both)
    assert "it is nvidia.com/mig-1g.10gb" in made.findings[0].message


def test_a_count_above_what_there_is_shares_all_and_is_said() -> None:
    made = plan(shared(SharedResource(GPU, 2, first(3))), TWO)
    assert len(ids(made)) == 4
    assert said(made) == [("device-not-here", Level.WARNING)]


def test_a_node_without_gpus_advertises_nothing_and_says_why() -> None:
    made = plan(shared(SharedResource(GPU, 4)), Inventory())
    assert not made.resources
    assert "no GPU at all" in made.findings[0].hint


# Requests


def test_one_replica_a_container_where_the_config_or_mps_says_so() -> None:
    entry = SharedResource(GPU, 2)
    strict = Sharing("time-slicing", fail_requests_greater_than_one=True, resources=(entry,))
    mps = Sharing("mps", resources=(entry,))
    lax = Sharing("time-slicing", resources=(entry,))
    made = [plan(Config(sharing=s), TWO).resources[0].single_request for s in (strict, mps, lax)]
    assert made == [True, True, False]


# For any node and any config

PROFILES = st.sampled_from(["1g.10gb", "1g.10gb+me", "2g.20gb", "1c.3g.40gb"])
NODES = st.lists(st.lists(PROFILES, max_size=3), max_size=4).map(
    lambda rows: node(*(gpu(index, *row) for index, row in enumerate(rows)))
)
NAMES = st.sampled_from([GPU, "nvidia.com/mig-1g.10gb", "nvidia.com/mig-2g.20gb", "nvidia.com/x"])
ITEMS = st.sampled_from(["0", "1", "2", "9", "0:0", "1:1", "GPU-0", "GPU-2", "MIG-0-1", "MIG-9-9"])
SELECTIONS = st.one_of(
    st.just(DeviceSelection()),
    st.integers(1, 5).map(first),
    st.lists(ITEMS, min_size=1, max_size=4).map(lambda items: only(*items)),
)
ENTRIES = st.builds(
    SharedResource,
    name=NAMES,
    replicas=st.integers(2, 6),
    devices=SELECTIONS,
    rename=st.sampled_from(["", "", "nvidia.com/slice", GPU]),
)
PATTERNS = st.lists(
    st.builds(ResourcePattern, st.sampled_from(["*", "1g*", "2g.20gb", "A100", "T4"]), NAMES),
    max_size=2,
).map(tuple)
CONFIGS = st.builds(
    Config,
    flags=st.builds(Flags, mig_strategy=st.sampled_from(["none", "single", "mixed"])),
    gpu_patterns=PATTERNS,
    mig_patterns=PATTERNS,
    sharing=st.builds(
        Sharing,
        strategy=st.just("time-slicing"),
        rename_by_default=st.booleans(),
        resources=st.lists(ENTRIES, max_size=4).map(tuple),
    ),
)


@CALM
@given(CONFIGS, NODES)
def test_no_replica_id_is_given_twice(config: Config, inventory: Inventory) -> None:
    all_ids = [r.id for resource in plan(config, inventory).resources for r in resource.replicas]
    assert len(all_ids) == len(set(all_ids))


@CALM
@given(CONFIGS, NODES)
def test_each_device_lies_behind_one_resource_or_is_said_to_have_none(
    config: Config, inventory: Inventory
) -> None:
    made = plan(config, inventory)
    served = [device.uuid for resource in made.resources for device in resource.devices]
    assert len(served) == len(set(served))
    mig = config.flags.mig_strategy != "none"
    devices = [
        uuid
        for g in inventory.gpus
        for uuid in ([m.uuid for m in g.mig_devices] if mig and g.mig_enabled else [g.uuid])
    ]
    nameless = [finding for finding in made.findings if finding.id == "mig-no-name"]
    assert made.failed or len(served) + len(nameless) == len(devices)
    assert set(served) <= set(devices)


@CALM
@given(CONFIGS, NODES)
def test_a_device_makes_one_bare_uuid_or_at_least_two_numbered_replicas_that_some_entry_asked_for(
    config: Config, inventory: Inventory
) -> None:
    asked = {entry.replicas for entry in config.sharing.resources}
    for resource in plan(config, inventory).resources:
        for device in resource.devices:
            mine = [replica for replica in resource.replicas if replica.device == device.uuid]
            if mine[0].ordinal is None:
                assert len(mine) == 1
            else:
                assert [replica.ordinal for replica in mine] == list(range(len(mine)))
                assert len(mine) in asked
        assert {r.device for r in resource.replicas} == {d.uuid for d in resource.devices}


@CALM
@given(CONFIGS, NODES)
def test_the_order_of_the_gpus_does_not_change_the_plan(
    config: Config, inventory: Inventory
) -> None:
    backwards = Inventory(tuple(reversed(inventory.gpus)))
    assert plan(config, inventory).resources == plan(config, backwards).resources


@CALM
@given(CONFIGS, NODES)
def test_whatever_is_said_can_be_explained(config: Config, inventory: Inventory) -> None:
    assert {finding.id for finding in plan(config, inventory).findings} <= set(SECTIONS)
