# SPDX-License-Identifier: Apache-2.0
"""Shared libraries of the operating system that the bpy and open3d wheels load but do not bring.

Standard library only: `make` runs `python -m recon_core.system_libraries --install` before pip.
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class SystemLibrary:
    """A shared library, the Debian package that holds it and the wheel that needs it."""

    soname: str
    package: str
    needed_by: str = "bpy"


# Measured with ldd on the bpy 4.2-5.0 and open3d 0.20 wheels; what those pull in themselves is not repeated.
LIBRARIES = (
    SystemLibrary("libX11.so.6", "libx11-6"),
    SystemLibrary("libXrender.so.1", "libxrender1"),
    SystemLibrary("libXfixes.so.3", "libxfixes3"),
    SystemLibrary("libXi.so.6", "libxi6"),
    SystemLibrary("libxkbcommon.so.0", "libxkbcommon0"),
    SystemLibrary("libSM.so.6", "libsm6"),
    SystemLibrary("libICE.so.6", "libice6"),
    SystemLibrary("libGL.so.1", "libgl1"),
    SystemLibrary("libXt.so.6", "libxt6"),
    SystemLibrary("libXxf86vm.so.1", "libxxf86vm1", "bpy 4.2"),
    SystemLibrary("libEGL.so.1", "libegl1", "open3d"),
    SystemLibrary("libgomp.so.1", "libgomp1", "open3d"),
    SystemLibrary("libusb-1.0.so.0", "libusb-1.0-0", "open3d"),
)


def loadable(soname: str) -> bool:
    """Return whether the dynamic linker finds the library."""
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def missing_libraries(find: Callable[[str], bool] = loadable) -> list[SystemLibrary]:
    """Return the libraries that are absent; none outside Linux, where the wheels bring everything."""
    if not sys.platform.startswith("linux"):
        return []
    return [library for library in LIBRARIES if not find(library.soname)]


def packages_of(libraries: Iterable[SystemLibrary]) -> str:
    """Return the Debian package names for an apt-get command line."""
    return " ".join(library.package for library in libraries)


def library_named_in(message: str) -> str | None:
    """Return the Debian package for the library that an import error names, or None."""
    return next((library.package for library in LIBRARIES if library.soname in message), None)


def _apt_install(libraries: list[SystemLibrary]) -> None:
    """Install the packages with apt-get; a failure is only reported, what is missing is listed afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
    install += [library.package for library in libraries]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)} failed:\n{done.stderr.strip()[-800:]}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Report missing libraries and, with --install and as root, install them; 0 if none is missing."""
    parser = argparse.ArgumentParser(prog="python -m recon_core.system_libraries", description=__doc__)
    parser.add_argument("--install", action="store_true", help="install what is missing (apt-get, as root)")
    missing = missing_libraries()
    if missing and parser.parse_args(arguments).install and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing system libraries: {packages_of(missing)}")
        _apt_install(missing)
        missing = missing_libraries()
    for library in missing:
        print(f"missing: {library.soname} (Debian: {library.package}), needed by {library.needed_by}")
    if missing:
        print(f"Install with: sudo apt-get install --no-install-recommends {packages_of(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
