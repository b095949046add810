"""What an error says."""

from rota.errors import RotaError, UsageError


def test_an_error_says_where_what_and_what_to_do() -> None:
    error = RotaError("no such key 'replica'", where="c.yaml:3:5", hint="did you mean 'replicas'?")
    assert str(error) == "c.yaml:3:5: no such key 'replica' (did you mean 'replicas'?)"


def test_wrong_usage_exits_with_2_and_all_else_with_1() -> None:
    assert UsageError("x").exit_code == 2
    assert RotaError("x").exit_code == 1
