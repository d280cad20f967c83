#!/usr/bin/env bash
# The sanity checks of Ansible that apply to a module outside its repository, in a folder of their own.
# ansible-test makes an environment for each check, whose pip it would bring from elsewhere; Python has one.
#
#     bash collection/sanity.sh WORK ANSIBLE_TEST
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=$1/ansible_collections/cachedoctor/models
mkdir -p "$place"
cp -r "$here"/. "$place"
cd "$place"
rm sanity.sh
git init --quiet .
git add --all
export HOME=$1/home
mkdir -p "$HOME/.ansible/test/cache"
echo 'import ensurepip; ensurepip.bootstrap()' >"$HOME/.ansible/test/cache/get_pip_24_2.py"
tests=()
for name in ansible-doc compile import line-endings no-assert no-illegal-filenames no-smart-quotes \
  pep8 runtime-metadata shebang symlinks use-argspec-type-path validate-modules yamllint; do
  tests+=(--test "$name")
done
LC_ALL=C.UTF-8 "$2" sanity --python "$("$(dirname "$2")"/python -c \
  'import sys; print("%d.%d" % sys.version_info[:2])')" "${tests[@]}"
