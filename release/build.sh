#!/usr/bin/env bash
# Makes all of a release that is the same on every system, into a folder: sdist, pure wheel, the single
# file, manual pages, completions. From one commit, twice, the same bytes.
#
#     bash release/build.sh OUT [PYTHON]      # a Python that has `build`
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
python=${2:-python3}
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export CACHEDOCTOR_BRIDGES=OFF LC_ALL=C
version=$("$python" release/agree.py | sed -n 's/^version \(.*\) everywhere$/\1/p')
test -n "$version" || { "$python" release/agree.py; exit 1; }

"$python" -m build --outdir "$out" . >"$out/../build-$$.txt" 2>&1 || { cat "$out/../build-$$.txt"; exit 1; }
rm "$out/../build-$$.txt"
"$python" release/pyz.py --wheel "$out/model_cache_doctor-$version-py3-none-any.whl" \
  --wheels "${PYZ_WHEELS:-$out/../pyz-wheels}" --output "$out/cachedoctor.pyz"

packed() { # NAME FOLDER
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX -C "$2" -cf - . | gzip -n9 >"$out/$1"
}
packed "cachedoctor-$version-man.tar.gz" docs/man
tab=$(mktemp -d)
trap 'rm -rf "$tab"' EXIT
"$python" -I "$out/cachedoctor.pyz" completion bash >"$tab/cachedoctor"
"$python" -I "$out/cachedoctor.pyz" completion zsh >"$tab/_cachedoctor"
"$python" -I "$out/cachedoctor.pyz" completion fish >"$tab/cachedoctor.fish"
packed "cachedoctor-$version-completions.tar.gz" "$tab"
