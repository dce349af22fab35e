#!/usr/bin/env bash
# Installs the gateways we are compared with, each by its own package manager, each into its own
# folder: install.sh FOLDER. One that cannot be installed is left out, and NAME.log says why.
set -uo pipefail

LITELLM=1.106.2 TENSORZERO=2026.6.0 PORTKEY=1.15.2 HONO=1.13.7
HTTP2="httpx[http2]==0.28.1 h2==4.4.1 jh2==5.0.15 pyreqwest==0.15.1"

mkdir -p "$1" && cd "$1" || exit 1
PYTHON=${PYTHON:-python3}

once() {  # NAME VERSION: unless it is there
  test "$(cat "$1/.installed" 2> /dev/null)" = "$2" && return
  echo "Installing $1"
  rm -rf "$1" && mkdir "$1"
  if (set -e; "$1") > "$1.log" 2>&1; then echo "$2" > "$1/.installed"; else echo "$1 is left out, see $PWD/$1.log"; fi
}

from_pypi() {  # FOLDER REQUIREMENT...
  "$PYTHON" -m venv "$1" || return 1
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-compile --prefer-binary "${@:2}"
}

litellm() { from_pypi litellm "litellm[proxy]==$LITELLM"; }
tensorzero() { from_pypi tensorzero "tensorzero==$TENSORZERO"; }
http2() { from_pypi http2 $HTTP2; }  # no gateways: clients of a provider, for the tables of that name
portkey() {  # with a newer server than this one it cannot stream: its issue 1389
  cat > portkey/package.json <<< "{\"overrides\": {\"@hono/node-server\": \"$HONO\"}}"
  npm install --prefix portkey --no-audit --no-fund --loglevel error "@portkey-ai/gateway@$PORTKEY"
}

haproxy() {  # Debian's package and what it needs that is no part of a small system, unpacked
  cd haproxy || return 1
  apt-get download haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 || return 1
  for package in *.deb; do dpkg -x "$package" . || return 1; done
}

once litellm "$LITELLM"
once tensorzero "$TENSORZERO"
once portkey "$PORTKEY $HONO"
once http2 "$HTTP2"
test -x /usr/sbin/haproxy || once haproxy Debian
