-- engines.lua: engines that serve models over HTTP, each with what it needs to be asked well.
--
--     perilune check examples/engines.lua
--
--     curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"qwen","messages":[{"role":"user","content":"Hello"}]}'
--
-- Addresses are those the engines have by default.  WHERE A PROMPT'S BEGINNING IS CACHED: a pool that picks by "prefix"
-- sends what begins alike to the same engine, and needs no metrics of theirs for it.  Whether that works is told by
-- their answers (usage.prompt_tokens_details.cached_tokens: perilune_tokens_total with type="cached"), where they say it;
-- vLLM and SGLang do so when they are started with the flag that stands below.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    -- vllm serve Qwen/Qwen3-8B --enable-prompt-tokens-details
    -- Refuses models that it does not serve (404): `model` is the name that it was started with.  Members it does not
    -- know it ignores, with a line in its log.  Its own counters: vllm:prefix_cache_queries, vllm:prefix_cache_hits.
    vllm_a = { url = "http://127.0.0.1:8000/v1", model = "Qwen/Qwen3-8B",
               prefill = "continue_final_message" },
    vllm_b = { url = "http://127.0.0.1:8001/v1", model = "Qwen/Qwen3-8B",
               prefill = "continue_final_message" },

    -- python -m sglang.launch_server --model-path Qwen/Qwen3-8B --enable-cache-report --enable-metrics
    -- Without --enable-cache-report it says no cached tokens; without --enable-metrics there is no /metrics
    -- (sglang:cache_hit_rate).
    sglang = { url = "http://127.0.0.1:30000/v1", model = "Qwen/Qwen3-8B", prefill = "continue_final_message" },

    -- llama-server -m model.gguf -np 4 -c 16384 --metrics
    -- One model, whatever the request calls it.  While it loads it answers 503 "Loading model": the breaker counts that
    -- as a failure, so let it load before it is needed.  A last message of the assistant is gone on with.  cached_tokens
    -- is always told.  A request has its slot's share of the context, -c over -np; queues are its own, so `timeouts`
    -- allow for them.
    llama_server = { url = "http://127.0.0.1:8082/v1", prefill = "assistant", timeouts = { first_token = 120 } },

    -- python3 openai_frontend/main.py --model-repository models --tokenizer NAME     (Triton's OpenAI front end, port 9000)
    -- Refuses n above 1, logit_bias and logprobs with 400.  It is in beta, and says no cached tokens.  Models have the
    -- names of their folders.  Older versions know no stream_options: with usage = "leave" they are not
    -- asked for it, and tokens are counted here.
    triton = { url = "http://127.0.0.1:9000/v1", model = "llama-3.1-8b-instruct", usage = "leave" },

    -- text-embeddings-router --model-id sentence-transformers/all-MiniLM-L6-v2 --port 8083     (its CPU build runs ONNX)
    -- Embeddings and ranks only, no chats; more than 32 texts in a request get 413 or 422 (--max-client-batch-size).
    onnx = { url = "http://127.0.0.1:8083/v1", model = "sentence-transformers/all-MiniLM-L6-v2" },
  },

  pools = {
    qwen = { upstreams = { "vllm_a", "vllm_b", "sglang" }, choose = "prefix", models = { "qwen" } },
  },
}
