"""Makes the gRPC stubs from the .proto files: `make stubs`. A test holds them in step."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

API = Path(__file__).parents[2] / "src" / "rota" / "kubelet" / "api"
PROTOS = ("deviceplugin", "podresources")


def generate(into: Path) -> None:
    """Write the stubs of every .proto into a folder."""
    include = str(resources.files("grpc_tools") / "_proto")
    args = ["protoc", f"-I{API}", f"-I{include}"]
    args += [f"--python_out={into}", f"--pyi_out={into}", f"--grpc_python_out={into}"]
    for name in PROTOS:
        if protoc.main([*args, f"{name}.proto"]):
            sys.exit(f"protoc failed on {name}.proto")
        stub = into / f"{name}_pb2_grpc.py"
        text = stub.read_text()
        stub.write_text(
            re.sub(
                rf"^import {name}_pb2 as",
                f"from rota.kubelet.api import {name}_pb2 as",
                text,
                flags=re.M,
            )
        )


def main() -> None:
    """Replace the stubs in the source tree."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for file in sorted(Path(folder).iterdir()):
            shutil.copy(file, API / file.name)
            print(f"made {(API / file.name).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
