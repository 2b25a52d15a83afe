# SPDX-License-Identifier: Apache-2.0
"""Build the Blender extension, one zip per platform, and have Blender's own tool validate it.

    python tools/build_extension.py --platform linux-x64 --output dist

The zip holds blender_addon, the wheel of ONNX Runtime for the platform and the Python of Blender, the shipped model
with its card (or another one), render_scripts (run in a background Blender) and the licence. `--legacy` builds an
add-on for Blender 3.4 to 4.1, which install no wheels: ONNX Runtime is unpacked inside it.
"""

import argparse
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / "blender_addon"
SHIPPED = ROOT / "models" / "default" / "model.onnx"
# Blender's name of a platform: the tags of wheels that run there, in the order of preference.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_11_0_arm64"),
}
# Newer ones need a newer numpy than the one in Blender 4.2 to 5.0.
ONNXRUNTIME = "onnxruntime>=1.18,<2"
MAX_ZIP_MB = 60


class BuildError(Exception):
    """Why no zip was built, in one line."""


def main(arguments: list[str] | None = None) -> int:
    """Build what is asked for; 0 when every zip was built and validated."""
    options = parse(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        for platform in options.platform:
            path = (build_legacy if options.legacy else build)(platform, options)
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    except BuildError as error:
        print(f"build_extension: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description="Build the Blender extension.")
    parser.add_argument("--platform", action="append", choices=list(PLATFORMS), help="default: linux-x64")
    parser.add_argument(
        "--python",
        default="3.11",
        help="Python of the Blender: 3.11 for Blender 4.2 to 5.0, 3.13 from 5.1 on; Linux distributions differ",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=SHIPPED,
        help="default model MODEL.onnx, its card MODEL.json beside it; the shipped one when not given",
    )
    parser.add_argument("--no-model", dest="model", action="store_const", const=None, help="no default model")
    parser.add_argument(
        "--half", action="store_true", help="store the model's weights in half precision, at half the size"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--no-wheels", action="store_true", help="leave ONNX Runtime out (tests, own builds)")
    parser.add_argument("--legacy", action="store_true", help="an add-on for Blender 3.4 to 4.1 instead")
    options = parser.parse_args(arguments)
    options.platform = options.platform or ["linux-x64"]
    return options


def build(platform: str, options: argparse.Namespace) -> Path:
    """One extension zip, validated; raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="recon_extension_") as scratch:
        source = stage(Path(scratch) / "recon", options.model, options.half)
        wheels = [] if options.no_wheels else [download_wheel(platform, options.python, source / "wheels")]
        complete_manifest(source / "blender_manifest.toml", platform, wheels)
        path = options.output / f"recon-{version()}-{platform}-py{options.python.replace('.', '')}.zip"
        blender_ext("build", "--source-dir", str(source), "--output-filepath", str(path))
        blender_ext("validate", str(path))
    return checked_size(path)


def build_legacy(platform: str, options: argparse.Namespace) -> Path:
    """One add-on zip for Blender without extensions; raises BuildError."""
    name = f"recon-{version()}-legacy-{platform}-py{options.python.replace('.', '')}.zip"
    with tempfile.TemporaryDirectory(prefix="recon_extension_") as scratch:
        source = stage(Path(scratch) / "recon", options.model, options.half)
        (source / "blender_manifest.toml").unlink()
        if not options.no_wheels:
            wheel = download_wheel(platform, options.python, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(source / "vendor")
        base = options.output / name.removesuffix(".zip")
        shutil.make_archive(str(base), "zip", scratch, "recon")
    return checked_size(options.output / name)


def stage(target: Path, model: Path | None, half: bool = False) -> Path:
    """Copy everything that is shipped, but for wheels, to `target`."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(ADDON, target, ignore=ignored)
    shutil.copytree(ROOT / "render_scripts", target / "render_scripts", ignore=ignored)
    shutil.copy(ROOT / "LICENSE-GPL", target / "LICENSE")
    if model is not None:
        copy_model(model, target / "models", half)
    return target


def copy_model(model: Path, target: Path, half: bool = False) -> None:
    """Copy MODEL.onnx and MODEL.json as the default model; raises BuildError for what the add-on would refuse."""
    card = model.with_suffix(".json")
    for path in (model, card):
        if not path.is_file():
            raise BuildError(
                f"{path} does not exist. A model is MODEL.onnx with its card MODEL.json beside it."
            )
    check_model(model)
    target.mkdir()
    shutil.copy(model, target / "default.onnx")
    shutil.copy(card, target / "default.json")
    if half:
        halve(target / "default.onnx")
        check_model(target / "default.onnx")


def halve(model: Path) -> None:
    """Store a model's weights in half precision, and say so in its card; raises BuildError."""
    from recon_core.errors import ReconError
    from recon_core.inference.half_weights import half_weights

    try:
        data = half_weights(model.read_bytes())
    except (ReconError, ImportError) as error:
        raise BuildError(f"--half: {error}") from error
    path = model.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8"))
    card |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "weights": "float16"}
    model.write_bytes(data)
    path.write_text(json.dumps(card, indent=1), encoding="utf-8")


def check_model(model: Path) -> None:
    """Load a model as the add-on does: card, hash, inputs and outputs; raises BuildError."""
    sys.path.insert(0, str(ROOT))
    from blender_addon import engine_onnx, jobs

    try:
        engine_onnx.load_model(model)
    except jobs.UserError as error:
        raise BuildError(f"The add-on would refuse {model}: {error}") from error
    finally:
        sys.path.remove(str(ROOT))
        engine_onnx.forget_models()


def download_wheel(platform: str, python: str, target: Path) -> Path:
    """Download the wheel of ONNX Runtime; numpy, the only dependency that it imports, comes with Blender."""
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", python, "--dest", str(target), ONNXRUNTIME]
    for tag in PLATFORMS[platform]:
        command += ["--platform", tag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(target.glob("onnxruntime-*.whl"))
    if done.returncode or not wheels:
        raise BuildError(
            f"pip found no {ONNXRUNTIME} for {platform}, Python {python}: {done.stderr.strip()[-400:]}"
        )
    return wheels[0]


def complete_manifest(path: Path, platform: str, wheels: list[Path]) -> None:
    """Name the platform and the wheels in the staged manifest, before its first table."""
    text = path.read_text(encoding="utf-8")
    lines = f'platforms = ["{platform}"]\n'
    if wheels:
        lines += "wheels = [" + ", ".join(f'"./wheels/{wheel.name}"' for wheel in wheels) + "]\n"
    path.write_text(text.replace("[permissions]", lines + "\n[permissions]", 1), encoding="utf-8")


def version() -> str:
    """The version in the manifest."""
    text = (ADDON / "blender_manifest.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise BuildError("blender_manifest.toml names no version.")
    return found[1]


def blender_ext(*arguments: str) -> None:
    """Run Blender's own extension tool, which the bpy wheel brings; raises BuildError with what it says."""
    spec = importlib.util.find_spec("bpy")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    tools = sorted(folder.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")) if spec else []
    if not tools:
        raise BuildError("The bpy wheel is not installed in this Python: pip install -e '.[blender]'.")
    command = [sys.executable, str(tools[-1]), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"blender_ext {arguments[0]} refuses it:\n{done.stdout}{done.stderr}")


def checked_size(path: Path) -> Path:
    """The path, unless the zip is too large to be distributed."""
    if path.stat().st_size > MAX_ZIP_MB * 1e6:
        raise BuildError(
            f"{path} has {path.stat().st_size / 1e6:.0f} MB; at most {MAX_ZIP_MB} are meant. --half halves the model."
        )
    return path


if __name__ == "__main__":
    sys.exit(main())
