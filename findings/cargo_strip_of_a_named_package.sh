#!/usr/bin/env bash
# Question: a profile says strip = true, and a section for one package, the program itself, changes another of its settings. Is the
#   program stripped?
# Usual guess: yes. What the section of a package does not name, it takes from the profile, as with opt-level or debug.
# Version: cargo 1.95.0 (f2d3ce0bd 2026-03-21).
# Behaviour: no. Any section for the package that is linked, [profile.release.package.NAME] with opt-level or codegen-units, makes cargo
#   forget the profile's strip, without a word: the names of all functions stay in the file. strip = true once more in that section helps; a section for "*" (the dependencies) does no harm.
# Output seen (symbols by nm):
#   strip alone                               0 symbols
#   and a section with codegen-units          1015 symbols
#   and a section with opt-level              1015 symbols
#   and a section with opt-level and strip    0 symbols
#   and a section for "*" with opt-level      0 symbols
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
export CARGO_TARGET_DIR="$T/target"; mkdir src
echo 'fn main() { println!("{}", std::env::args().count()) }' >src/main.rs
try() { # what is tried, whether names are left, the rest of the profile
    printf '[package]\nname="named"\nversion="0.0.0"\nedition="2021"\n[profile.release]\nstrip = true\n%b' "$3" >Cargo.toml
    cargo build --quiet --release
    local count; count=$(nm target/release/named 2>/dev/null | wc -l)
    printf '%-40s  %s symbols\n' "$1" "$count"
    [[ $2 = "$([[ $count -gt 0 ]] && echo left || echo none)" ]] || { echo "expected $2"; exit 1; }
}
cargo --version
section='[profile.release.package.named]\n'
try "strip alone" none ''
try "and a section with codegen-units" left "${section}codegen-units = 1\n"
try "and a section with opt-level" left "${section}opt-level = 2\n"
try "and a section with opt-level and strip" none "${section}opt-level = 2\nstrip = true\n"
try 'and a section for "*" with opt-level' none '[profile.release.package."*"]\nopt-level = 2\n'
