# Sourced by .ci/run: installs what the tests use and a bare Debian machine lacks, and says what could not be had. Only
# a missing C compiler is fatal: a test without its tool is listed as skipped at the end of the run.

missing() { printf 'not installed, the network or the system refuses: %s\n' "$*"; }

debian() { # installs packages, where this may be done without asking: as root, or in CI
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    [ -n "${CI:-}" ] && as_root=(sudo -n) || return 1
  fi
  command -v apt-get >/dev/null || return 1
  [ -n "${apt_updated:-}" ] || "${as_root[@]}" timeout 300 apt-get -qq update || return 1
  apt_updated=yes
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    timeout 600 apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# The zstd and xz libraries are compiled from C.
command -v cc >/dev/null || debian gcc libc6-dev

# The kernels are disassembled.
command -v objdump llvm-objdump >/dev/null || debian binutils || missing binutils

# The kernels for ARM are compiled, and run by an emulator.
if [ "$(uname -m)" != aarch64 ]; then
  command -v aarch64-linux-gnu-gcc >/dev/null || debian gcc-aarch64-linux-gnu libc6-dev-arm64-cross || missing aarch64-linux-gnu-gcc
  command -v qemu-aarch64 >/dev/null || debian qemu-user || missing qemu-aarch64
fi

# Clients of the server's TLS.
for program in openssl curl; do
  command -v "$program" >/dev/null || debian "$program" || missing "$program"
done

# Shells read their completions.
for shell in zsh fish; do
  command -v "$shell" >/dev/null || debian "$shell" || missing "$shell"
done

# Several ranks: Open MPI, and MPICH for one test.
command -v mpirun.openmpi >/dev/null || debian openmpi-bin || missing openmpi-bin
command -v mpiexec.mpich >/dev/null || debian mpich || missing mpich

# A browser looks at the study's report and at the server's page.
command -v chromium chromium-browser google-chrome >/dev/null || debian chromium fonts-dejavu-core || missing chromium

# Other people's programs: CTranslate2 and sacreBLEU to compare with, the server's clients.
python_packages=(
  ctranslate2==4.8.5 sacrebleu==2.6.0 sentencepiece numpy tokenizers libretranslatepy deepl schemathesis python-docx
  matplotlib mypy
)
venv=target/ci-python
if [ ! -x "$venv/bin/pip" ]; then
  rm -rf "$venv"
  { command -v python3 >/dev/null || debian python3; } &&
    { python3 -m venv "$venv" || { debian python3-venv && python3 -m venv "$venv"; }; } || missing python3
fi
if [ -x "$venv/bin/pip" ]; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}" || missing "${python_packages[@]}"
  export STRATA_PYTHON=$PWD/$venv/bin/python STRATA_SERVE_PYTHON=$PWD/$venv/bin/python
fi

# Argos Translate and LibreTranslate, which want packages of certain versions, so in an environment of their own.
argos=target/ci-argos
if [ ! -x "$argos/bin/pip" ] && [ -x "$venv/bin/pip" ]; then
  python3 -m venv "$argos"
fi
if [ -x "$argos/bin/pip" ]; then
  "$argos/bin/pip" install --quiet --disable-pip-version-check libretranslate==1.9.6 || missing libretranslate
  export STRATA_ARGOS_PYTHON=$PWD/$argos/bin/python
fi
