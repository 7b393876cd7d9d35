"""What the hardware tests need and pip can't bring: MicroPython, a small virtual machine, a GPIO.

    ./run rig              fetches and builds all, once, into the user's cache
    ./run rig micropython  only that

Debian's packages are unpacked in the cache; nothing on the system is changed, save that QEMU
itself is installed where that is allowed. A test that misses something is skipped and says what.
"""

from __future__ import annotations

import lzma
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MICROPYTHON_SUITE = "trixie"
MICROPYTHON_PACKAGES = (
    "micropython",
    "libc6",
    "libffi8",
    "libgcc-s1",
    "libmbedcrypto16",
    "libmbedtls21",
    "libmbedx509-7",
)
VM_SUITE = "bookworm"
VM_RECIPE = 2
"""Raise it when what is unpacked changes."""
GUEST_PACKAGES = (
    "busybox-static",
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libuuid1",
    "python3.11-minimal",
    "zlib1g",
)
GUEST_PYTHON = "python3.11"
"""The guest has its own, whatever Python runs here."""
GUEST_MODULES = (
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
    "watchdog",
    "i6300esb",
)
"""In the order in which they are loaded."""
CONTACT = Path(__file__).resolve().parent.parent / "hardware" / "rig" / "guest" / "contact.c"
QEMU = "qemu-system-x86_64"
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}


class RigError(Exception):
    """Something can't be had here; says what and why."""


def cache() -> Path:
    """Return the folder that everything is kept in."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "olympus" / "rig"


def micropython() -> Path | None:
    """Return MicroPython's unix port, from the path or the cache; None where there is none."""
    found = shutil.which("micropython")
    kept = cache() / "micropython" / "micropython"
    return Path(found) if found else kept if kept.exists() else None


def get_micropython() -> Path:
    """Fetch MicroPython's unix port, with libraries of its own so that any system can run it.

    Raises:
        RigError: It can't be had here.
    """
    found = micropython()
    if found is not None:
        return found
    loader = LOADERS.get(platform.machine())
    if loader is None:
        raise RigError("there is no MicroPython package for a {}".format(platform.machine()))
    home = cache() / "micropython"
    root = home / "root"
    unpack(Debian(MICROPYTHON_SUITE).download(MICROPYTHON_PACKAGES), root)
    lib = "{}/usr/lib/{}-linux-gnu".format(root, platform.machine())
    start = 'exec "{}/{}" --library-path "{}" "{}/usr/bin/micropython" "$@"'
    script = home / "micropython"
    script.write_text("#!/bin/sh\n" + start.format(lib, loader, lib, root) + "\n")
    script.chmod(0o755)
    return script


def vm() -> Path | None:
    """Return the guest's folder with `vmlinux`, `modules` and `root`; None where there is none."""
    kept = sorted((cache() / "vm").glob("*-{}/complete".format(VM_RECIPE)))
    return kept[-1].parent if kept and shutil.which(QEMU) else None


def get_vm() -> Path:
    """Fetch a kernel and a small system for QEMU, and QEMU itself where that is allowed.

    Raises:
        RigError: Something of it can't be had here.
    """
    if platform.machine() != "x86_64":
        raise RigError("the guest is x86-64 and is emulated on x86-64 only")
    if shutil.which(QEMU) is None:
        install("qemu-system-x86", "qemu-utils")
    found = vm()
    if found is not None:
        return found
    debian = Debian(VM_SUITE)
    kernel = debian.depends("linux-image-amd64")
    home = cache() / "vm" / "{}-{}".format(kernel.replace("linux-image-", ""), VM_RECIPE)
    shutil.rmtree(str(home), ignore_errors=True)
    unpack(debian.download(GUEST_PACKAGES), home / "root")
    make_guest_python(home)
    compile_all(home / "python", home / "root" / "usr" / "lib" / GUEST_PYTHON)
    with tempfile.TemporaryDirectory(dir=str(cache())) as folder:
        packed = debian.download((kernel,))
        unpack(packed, Path(folder))
        (image,) = Path(folder).glob("boot/vmlinuz-*")
        (home / "vmlinux").write_bytes(kernel_of(image.read_bytes()))
        modules = home / "modules"
        modules.mkdir()
        for name in GUEST_MODULES:
            (file,) = Path(folder).rglob(name + ".ko")
            shutil.copy(str(file), str(modules))
    for deb in packed:
        deb.unlink()
    (home / "complete").touch()
    return home


def contact() -> Path | None:
    """Return the kernel module with GPIO inputs for the guest; None where it was not built."""
    kept = vm()
    module = kept / "modules" / "contact.ko" if kept else None
    return module if module and module.exists() else None


def get_contact() -> Path:
    """Build a GPIO chip for the guest's kernel: Debian's has none that needs no hardware.

    Raises:
        RigError: There is no compiler, or its kernel's headers can't be had.
    """
    home = get_vm()
    found = contact()
    if found is not None:
        return found
    for tool in ("make", "gcc"):
        if shutil.which(tool) is None:
            raise RigError("it takes a compiler: `sudo apt install make gcc`")
    debian = Debian(VM_SUITE)
    headers = "linux-headers-" + home.name.rpartition("-")[0]
    with tempfile.TemporaryDirectory(dir=str(cache())) as folder:
        root = Path(folder) / "root"
        packages = [one for one in debian.needs(headers) if "compiler" not in one]
        unpack(debian.download((headers, *packages)), root)
        built = build_module(root / "usr" / "src" / headers, CONTACT, Path(folder) / "build")
        shutil.copy(str(built), str(home / "modules"))
    return home / "modules" / built.name


def build_module(headers: Path, source: Path, folder: Path) -> Path:
    """Build a kernel module of one file against unpacked headers; return it.

    Raises:
        RigError: The compiler refuses.
    """
    folder.mkdir()
    shutil.copy(str(source), str(folder))
    (folder / "Makefile").write_text("obj-m := {}.o\n".format(source.stem))
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", str(headers.parent)))
    # The headers name the compiler of their release, gcc-12: the one that is here builds it too.
    run = subprocess.run(
        ["make", "-s", "-C", str(headers), "M={}".format(folder), "CC=gcc", "modules"],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RigError("{} can't be built: {}".format(source.name, run.stderr.strip()[-500:]))
    return folder / (source.stem + ".ko")


def make_guest_python(home: Path) -> None:
    """Write a command that runs the guest's Python here: only it can compile for the guest."""
    root = home / "root"
    folder = "lib/{}-linux-gnu".format(platform.machine())
    start = 'PYTHONHOME="{0}/usr" exec "{0}/{1}/{2}" --library-path "{0}/{1}:{0}/usr/{1}"'
    start = start.format(root, folder, LOADERS[platform.machine()])
    script = home / "python"
    script.write_text('#!/bin/sh\n{} "{}/usr/bin/{}" "$@"\n'.format(start, root, GUEST_PYTHON))
    script.chmod(0o755)


def compile_all(python: Path, folder: Path) -> None:
    """Compile a library beforehand: the emulated guest would take seconds for it.

    Args:
        python: The guest's Python, as a command.
        folder: What to compile.

    Raises:
        RigError: The guest's Python doesn't run here.
    """
    command = [str(python), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    skip = ["-x", "/test/|lib2to3|idlelib|ensurepip"]
    run = subprocess.run(
        [*command, *skip, str(folder)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        said = (run.stderr or run.stdout).strip()[-300:]
        raise RigError("{} can't compile {}: {}".format(python, folder, said))


def kernel_of(image: bytes) -> bytes:
    """Return the kernel inside a packed one: booted bare, it is up in half the time.

    Args:
        image: A vmlinuz that is packed with xz, as Debian's are.

    Raises:
        RigError: It is packed in another way.
    """
    at = image.find(b"\xfd7zXZ\0")
    if at < 0:
        raise RigError("the kernel is not packed with xz; this recipe knows nothing else")
    return lzma.LZMADecompressor().decompress(image[at:])


def install(*packages: str) -> None:
    """Install Debian packages on this system.

    Raises:
        RigError: This user may not, or apt refuses.
    """
    names = " ".join(packages)
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise RigError("it needs `sudo apt install --no-install-recommends {}`".format(names))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
    commands = (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages])
    for command in commands:
        run = subprocess.run(
            ["apt-get", *command], env=env, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RigError("apt-get can't install {}: {}".format(names, run.stderr.strip()[-300:]))


class Debian:
    """Packages of one Debian release, whatever runs here; the system's apt is left alone."""

    def __init__(self, suite: str) -> None:
        """Name the release, such as trixie; its index is fetched when first needed.

        Raises:
            RigError: This is no Debian, or has no apt.
        """
        if not KEYRING.exists() or shutil.which("apt-get") is None:
            raise RigError("packages are taken from Debian with apt-get, and there is none here")
        self.suite = suite
        self.home = cache() / "apt" / suite
        self.is_fresh = False

    def download(self, packages: tuple[str, ...]) -> list[Path]:
        """Fetch packages, checked by apt against Debian's signatures.

        Args:
            packages: Their names; what they depend on is not fetched.

        Raises:
            RigError: apt can't reach Debian, or there is no such package.
        """
        self._index()
        folder = self.home / "debs"
        folder.mkdir(exist_ok=True)
        # Not beside the packages: those that are there already would be left out.
        wanted = self._apt("apt-get", "download", "--print-uris", *packages, cwd=self.home)
        names = [line.split()[1] for line in wanted.splitlines() if line.startswith("'")]
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            self._apt("apt-get", "download", *packages, cwd=folder)
        return [folder / name for name in names]

    def depends(self, package: str) -> str:
        """Return the package that a package of no content stands for: the newest kernel, say.

        Raises:
            RigError: There is none.
        """
        found = self.needs(package)
        if not found:
            raise RigError("Debian {} has no {}".format(self.suite, package))
        return found[0]

    def needs(self, package: str) -> list[str]:
        """Return the packages that a package depends on."""
        self._index()
        told = self._apt("apt-cache", "depends", package, cwd=self.home).splitlines()
        words = [line.strip().partition(": ") for line in told]
        return [name for kind, _, name in words if kind == "Depends"]

    def _index(self) -> None:
        if self.is_fresh:
            return
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "state" / "status").touch()
        lines = "deb [signed-by={}] {} {} main\n".format(KEYRING, _mirror(), self.suite)
        (self.home / "sources.list").write_text(lines)
        (self.home / "apt.conf").write_text(
            'Dir::Etc::sourcelist "{0}/sources.list"; Dir::Etc::sourceparts "-";\n'
            'Dir::State "{0}/state"; Dir::State::status "{0}/state/status";\n'
            'Dir::Cache "{0}/cache";\n'
            'Acquire::Languages "none"; APT::Sandbox::User "root";\n'.format(self.home)
        )
        self._apt("apt-get", "update", "-qq", cwd=self.home)
        self.is_fresh = True

    def _apt(self, *command: str, cwd: Path) -> str:
        env = dict(os.environ, APT_CONFIG=str(self.home / "apt.conf"), LC_ALL="C.UTF-8")
        run = subprocess.run(
            command, cwd=str(cwd), env=env, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RigError("{} failed: {}".format(" ".join(command[:2]), run.stderr.strip()[-300:]))
        return run.stdout


def unpack(packages: list[Path], root: Path) -> None:
    """Unpack Debian packages below `root`.

    Raises:
        RigError: One is damaged, or there is no dpkg.
    """
    root.mkdir(parents=True, exist_ok=True)
    for package in packages:
        run = subprocess.run(
            ["dpkg", "-x", str(package), str(root)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RigError("{} can't be unpacked: {}".format(package.name, run.stderr.strip()))


def _mirror() -> str:
    """Return where this system takes its Debian packages from.

    Raises:
        RigError: It is not told.
    """
    folder = Path("/etc/apt")
    for file in (*folder.glob("sources.list.d/*.sources"), *folder.glob("sources.list*")):
        words = file.read_text().split() if file.is_file() else []
        for word in words:
            if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                return word
    raise RigError("/etc/apt names no mirror of Debian")


def main(args: list[str]) -> int:
    """Fetch what is asked for, all of it without arguments; say what can't be had.

    Returns:
        0 if all of it is there now.
    """
    makers = {"micropython": get_micropython, "vm": get_vm, "contact": get_contact}
    unknown = [name for name in args if name not in makers]
    if unknown:
        print("rig: no {}; known: {}".format(unknown[0], ", ".join(makers)))
        return 2
    failed = 0
    for name in args or makers:
        try:
            print("rig: {} is {}".format(name, makers[name]()), flush=True)
        except RigError as error:
            print("rig: no {}, its tests will be skipped: {}".format(name, error), flush=True)
            failed = 1
    return failed
