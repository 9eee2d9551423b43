#!/bin/sh
# run.sh [MODEL.gguf] -- local inference on a GPU: builds CUDA's backend, tries it, and says how fast it is.
#
# Needs a machine with an NVIDIA GPU, nvcc, cmake and, the first time, npm and git (tests/local/fetch.sh brings the
# library's source, of the release that Perilune knows).  The backend is built for this machine's card alone and put
# beside the library of `make local`: it is a plugin of the same release.  About four minutes on 16 cores.
#
#     fetch --> build --> chat, embeddings, many at once, 300 requests and the memory then --> what must be refused
#           --> tokens/s at 1, 8, 32
#
# JOBS=N: compilers at once.  Nothing of the system is changed.  Exit status 0: all checks passed.
#
# It has not been run on a GPU yet, only with stand-ins for nvcc, cmake and nvidia-smi: whoever does first, please say
# what was wrong with it.
set -u
cd "$(dirname "$0")/../.." || exit 1
model=${1:-local/smollm2-135m.gguf}
embedder=local/e5-small-q4.gguf
jobs=${JOBS:-$(nproc)}
work=$(mktemp -d) || exit 1
server='' failed=0

finish() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$work"
    exit "${1:-$failed}"
}
trap 'finish 130' INT TERM
die() { echo "gpu: $1" >&2; finish 1; }
check() { # WHAT, then a command that succeeds
    what=$1
    shift
    if "$@"; then echo "passed  $what"; else echo "FAILED  $what"; failed=1; fi
}

for tool in nvcc cmake nvidia-smi curl; do
    command -v $tool >/dev/null 2>&1 || { echo "gpu: SKIPPED, there is no $tool"; exit 0; }
done
card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
[ -n "$arch" ] || die "nvidia-smi names no card"

# -- building ----------------------------------------------------------------------
make -s all || die "Perilune cannot be built"
sh tests/local/fetch.sh local source || die "the library and its source cannot be had"
if [ ! -f local/lib/libggml-cuda.so ]; then
    cmake -S local/source -B local/cuda -DCMAKE_BUILD_TYPE=Release -DGGML_CUDA=ON -DGGML_NATIVE=OFF \
        -DCMAKE_CUDA_ARCHITECTURES="$arch-real" -DGGML_BACKEND_DL=ON -DGGML_CUDA_NCCL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF \
        -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN" >"$work/cmake" 2>&1 ||
        { tail -20 "$work/cmake"; die "cmake refuses"; }
    cmake --build local/cuda -j "$jobs" --target ggml-cuda llama-batched-bench >"$work/build" 2>&1 ||
        { tail -40 "$work/build"; die "the backend cannot be built"; }
    cp "$(find local/cuda -name libggml-cuda.so | head -1)" local/lib/ || die "the build made no libggml-cuda.so"
fi
# The backend asks for libggml-base.so.0, which is how a build names it: beside it that must be the library's own, since
# with a second copy in the process its devices are nobody's.
[ -e local/lib/libggml-base.so.0 ] || ln -s libggml-base.so local/lib/libggml-base.so.0 || die "local/lib is not ours"

# -- serving -----------------------------------------------------------------------
cat >"$work/gpu.lua" <<EOF
return {
  listen = "127.0.0.1:8391",
  upstreams = {
    chat = { engine = { model = "$PWD/$model", library = "$PWD/local/lib", gpu_layers = "auto", sequences = 32,
                        context_each = 1024 } },
    small = { engine = { model = "$PWD/$model", library = "$PWD/local/lib", gpu_layers = 8, context = 2048,
                         kv_type = "q8_0", flash_attention = true } },
    embed = { engine = { model = "$PWD/$embedder", library = "$PWD/local/lib" } },
  },
  routes = {
    { path = "/v1/chat/completions", upstream = "chat" },
    { path = "/small/chat/completions", upstream = "small" },
    { path = "/v1/embeddings", upstream = "embed" },
  },
}
EOF
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | awk '{ n += $1 } END { print n + 0 }'; }
used_before=$(used)
build/perilune serve "$work/gpu.lua" 2>"$work/log" &
server=$!
for _ in $(seq 300); do curl -s -o /dev/null http://127.0.0.1:8391/ && break; sleep 0.2; done
kill -0 "$server" 2>/dev/null || { cat "$work/log"; die "it does not serve"; }

ask() { curl -s -m 60 -H 'content-type: application/json' "http://127.0.0.1:8391/v1/$1" -d "$2"; }
question='{"model":"chat","max_tokens":32,"temperature":0,"messages":[{"role":"user","content":"What is 2 + 2?"}]}'
chats() { ask chat/completions "$question" | grep -q '"finish_reason"'; }
embeds() { ask embeddings '{"model":"embed","input":["query: a cat","query: 一只猫"]}' | grep -q '"index":1'; }
small() { curl -s -m 60 -H 'content-type: application/json' http://127.0.0.1:8391/small/chat/completions -d "$question" |
    grep -q '"finish_reason"'; }
# The list of processes is empty in many containers, so the card's memory is looked at.
on_the_card() {
    grep -o '[0-9]* of [0-9]* layers are on [^"]*' "$work/log" | sed 's/^/        /'
    grep -q 'upstreams.chat.engine: .* layers are on CUDA0' "$work/log" && [ "$(used)" -ge $((used_before + 64)) ]
}

# Answers of many at once are those of one alone, but for near ties: tests/unit/test_batched.c says what that is.
same_together() {
    make -s BUILDING=1 build/release/test_batched &&
        PERILUNE_TEST_GPU=1 PERILUNE_LLAMA=$PWD/local/lib PERILUNE_TEST_MODEL=$PWD/$model PERILUNE_TEST_ANSWERS=400 \
            TEST_TIMEOUT=600 build/release/test_batched 2>&1 | sed 's/^/        /' | tee "$work/batched" &&
        grep -q ' 0 failed' "$work/batched"
}
# No memory for what is asked is said, by a process that lives on: a context that no card has.
refuses_too_much() {
    sed 's/context_each = 1024/context = 16777216/' "$work/gpu.lua" >"$work/large.lua"
    build/perilune check "$work/large.lua" >"$work/large" 2>&1
    status=$?
    sed 's/^/        /' "$work/large"
    [ $status -eq 1 ] && grep -q 'no memory for' "$work/large"
}
refuses_others() {
    sed 's/gpu_layers = "auto"/device = "CUDA99"/' "$work/gpu.lua" >"$work/other.lua"
    build/perilune check "$work/other.lua" >"$work/other" 2>&1 && return 1
    grep -q "no GPU 'CUDA99'; there are: CUDA0" "$work/other"
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# 10 % and 8 MB above where it was after the first hundred: caches of the allocator fill, leaks go on.
is_flat() {
    for i in $(seq 100); do chats && embeds || return 1; done
    before=$(resident) card_before=$(used)
    for i in $(seq 300); do chats && embeds || return 1; done
    after=$(resident) card_after=$(used)
    echo "        resident $before -> $after kB, on the card $card_before -> $card_after MiB"
    [ "$after" -le $((before + before / 10 + 8192)) ] && [ "$card_after" -le $((card_before + 16)) ]
}

echo "card: $card (sm_$arch), driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)"
check "a chat" chats
check "the weights are on the card" on_the_card
check "a chat with a part of the layers, and small numbers for positions" small
check "embeddings" embeds
check "32 at once say what one says alone" same_together
check "memory is flat over 300 requests of each kind" is_flat
check "a context that has no memory is refused" refuses_too_much
check "a GPU that is not there is refused" refuses_others

# -- how fast ------------------------------------------------------------------------
long='{"model":"chat","max_tokens":128,"temperature":0,"messages":[{"role":"user","content":"Tell me a long story."}]}'
echo "tokens/s, $(basename "$model"), four answers of 128 tokens at most for each of N clients:"
for n in 1 8 32; do
    waits='' begun=$(date +%s%N)
    for i in $(seq "$n"); do
        { for _ in 1 2 3 4; do ask chat/completions "$long"; echo; done >"$work/long.$i"; } &
        waits="$waits $!"
    done
    for pid in $waits; do wait "$pid"; done
    took=$(($(date +%s%N) - begun))
    tokens=$(cat "$work"/long.* | sed -n 's/.*"completion_tokens": *\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }')
    rm -f "$work"/long.*
    [ "$tokens" -gt 0 ] || failed=1
    echo "  Perilune, N = $n: $((tokens * 1000000000 / took)) ($tokens tokens)"
done
bench=$(find local/cuda -name llama-batched-bench -type f 2>/dev/null | head -1)
if [ -n "$bench" ]; then
    "$bench" -m "$model" -ngl 999 -c 32768 -npp 32 -ntg 128 -npl 1,8,32 \
        2>"$work/own" || { tail -5 "$work/own"; echo "  the library's own bench did not run"; }
else
    echo "  the library's own bench was not built"
fi
finish
