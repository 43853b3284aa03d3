#!/usr/bin/env bash
# Refresh the assets that live inside the package (and axe-core for the browser tests) from npm, and their checksums.
# Needs npm and a registry; run by hand when a version changes. Nothing is fetched when Headwater is installed or runs.
set -euo pipefail

INTER=@fontsource-variable/inter@5.3.0
LUCIDE=lucide-static@1.62.0
AXE=axe-core@4.14.1

# Icons that a template names with icon("…"); the architecture of a page decides, not the size of the set.
ICONS="
  activity arrow-down-to-line arrow-left arrow-right arrow-up chart-column check chevron-right chevrons-up-down
  circle-alert circle-check circle-dashed circle-question-mark circle-x clock code copy copy-minus database eye
  eye-off flask-conical funnel house inbox key-round layers link log-in log-out mail menu pause play plug plus
  radio-tower refresh-cw rotate-cw search send square-terminal sun-moon triangle-alert webhook x
"

root=$(cd "$(dirname "$0")/.." && pwd)
vendor=$root/src/headwater/web/static/vendor
tests=$root/tests/browser/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpack() { # package@version -> $work/name
  mkdir -p "$work/$2"
  (cd "$work" && tar -xzf "$(npm pack --silent "$1" 2>/dev/null)" -C "$2" --strip-components=1)
}

unpack "$INTER" inter
unpack "$LUCIDE" lucide
unpack "$AXE" axe

rm -rf "$vendor" "$tests"
mkdir -p "$vendor/inter" "$vendor/lucide" "$tests/axe-core"
for subset in latin latin-ext; do
  install -m 644 "$work/inter/files/inter-$subset-wght-normal.woff2" "$vendor/inter/"
done
install -m 644 "$work/inter/LICENSE" "$vendor/inter/LICENSE"
for icon in $ICONS; do
  install -m 644 "$work/lucide/icons/$icon.svg" "$vendor/lucide/"
done
install -m 644 "$work/lucide/LICENSE" "$vendor/lucide/LICENSE"
install -m 644 "$work/axe/axe.min.js" "$work/axe/LICENSE" "$tests/axe-core/"

for folder in "$vendor" "$tests"; do
  (cd "$folder" && find . -type f ! -name CHECKSUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > CHECKSUMS)
done
printf '%s\n' "$INTER" "$LUCIDE" > "$vendor/VERSIONS"
printf '%s\n' "$AXE" > "$tests/VERSIONS"
