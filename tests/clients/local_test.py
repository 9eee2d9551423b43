"""local_test.py -- OpenAI's SDK for Python against a model inside of the gateway, where there is one.

PERILUNE_LLAMA and PERILUNE_TEST_MODEL as in local.test.mjs.  What comes is validated with the SDK's own types, which it
does not do itself: a member that the vendor always sends, and we do not, fails here.  What such a small model says is of
no matter.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types import CreateEmbeddingResponse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
LIBRARY, MODEL, EMBEDDER = (os.environ.get(n) for n in ("PERILUNE_LLAMA", "PERILUNE_TEST_MODEL", "PERILUNE_TEST_EMBEDDER"))
if not LIBRARY or not MODEL:
    print("clients: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL)\n# local-python: 0 passed, 0 failed")
    sys.exit(0)

TEMPLATES = os.path.abspath(os.path.join(ROOT, "tests/local/jinja/templates"))
ENGINE = f'model = "{os.path.abspath(MODEL)}", library = "{os.path.abspath(LIBRARY)}", threads = 1, context = 2048'
VECTORS = EMBEDDER and f'vectors = {{ engine = {{ model = "{os.path.abspath(EMBEDDER)}", threads = 1, ' \
                       f'library = "{os.path.abspath(LIBRARY)}" }} }},'
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer"}},
          "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}}]


# -- A gateway ---------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        config = os.path.join(folder, "perilune.lua")
        with open(config, "w") as f:
            f.write(f"""return {{ listen = "127.0.0.1:{port}", workers = 1, upstreams = {{
                plain = {{ engine = {{ {ENGINE} }} }}, {VECTORS or ''}
                qwen = {{ engine = {{ {ENGINE}, thinking = false, template = "{TEMPLATES}/qwen3.jinja" }} }} }},
                routes = {{ {{ path = "/v1/*" }} }} }}""")
        self.process = subprocess.Popen([os.environ.get("PERILUNE", os.path.join(ROOT, "build/perilune")), "serve", config],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if "is listening" in line:
                return
        raise SystemExit("the gateway did not begin")

    def stop(self):
        assert self.process.poll() is None, "the gateway died during the tests"
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0


# -- What is asked -------------------------------------------------------------------------------

def ask(model="plain", max_tokens=60, **fields):
    return client.chat.completions.create(model=model, max_tokens=max_tokens, seed=1, temperature=0,
                                          messages=[{"role": "user", "content": "The weather in Paris?"}], **fields)


def whole(**fields):
    """The answer, of the vendor's shape to the last member."""
    answer = ask(**fields)
    data = json.loads(answer.to_json(exclude_unset=True))
    ChatCompletion.model_validate(data, strict=False)
    for choice in data["choices"]:
        assert {"index", "message", "logprobs", "finish_reason"} <= set(choice), choice
        assert {"role", "content", "refusal"} <= set(choice["message"]), choice
    return answer


def streamed(**fields):
    chunks = list(ask(stream=True, stream_options={"include_usage": True}, **fields))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(json.loads(chunk.to_json(exclude_unset=True)))
    assert len({c.id for c in chunks}) == 1 and chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage and not chunks[-1].choices and all(c.usage is None for c in chunks[:-1])
    return chunks


def text_of(chunks, index=0):
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == index)


def test_whole_and_streamed_are_the_same():
    a, b = whole(), streamed()
    assert a.choices[0].message.content == text_of(b) and a.choices[0].finish_reason in ("stop", "length")
    assert a.usage.completion_tokens == b[-1].usage.completion_tokens
    assert a.usage.total_tokens == a.usage.prompt_tokens + a.usage.completion_tokens


def test_two_answers():
    a, b = whole(n=2), streamed(n=2)
    assert [c.index for c in a.choices] == [0, 1]
    assert [c.message.content for c in a.choices] == [text_of(b, 0), text_of(b, 1)]


def test_logprobs():
    a, b = whole(max_tokens=5, logprobs=True, top_logprobs=2), streamed(max_tokens=5, logprobs=True, top_logprobs=2)
    tokens = [t for chunk in b for c in chunk.choices if c.logprobs for t in c.logprobs.content]
    assert [t.token for t in a.choices[0].logprobs.content] == [t.token for t in tokens] and len(tokens) == 5
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 and bytes(t.bytes).decode() == t.token for t in tokens)


def test_a_stop_string():
    said = whole().choices[0].message.content
    cut = whole(stop=[said[4:6]])
    assert cut.choices[0].message.content == said[:said.index(said[4:6])] and cut.choices[0].finish_reason == "stop"


def test_a_schema():
    form = {"type": "json_schema", "json_schema": {"name": "w", "strict": True, "schema": SCHEMA}}
    for content in (whole(response_format=form).choices[0].message.content, text_of(streamed(response_format=form))):
        value = json.loads(content)
        assert value["city"] in ("Paris", "Rome") and isinstance(value["days"], int)


def test_tools():
    one_call = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
    answer = whole(model="qwen", max_tokens=120, **one_call)
    call = answer.choices[0].message.tool_calls[0]
    assert call.type == "function" and call.id and call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    assert answer.choices[0].finish_reason == "tool_calls" and answer.choices[0].message.content is None
    chunks = streamed(model="qwen", max_tokens=120, **one_call)
    calls = [t for chunk in chunks for c in chunk.choices for t in c.delta.tool_calls or []]
    assert calls[0].index == 0 and calls[0].id and calls[0].function.name == "get_weather"
    json.loads("".join(t.function.arguments or "" for t in calls))


def test_a_stream_that_is_closed_frees_its_place():
    for _ in range(20):
        stream = ask(stream=True, max_tokens=1500, logit_bias={"0": -100, "2": -100})
        next(stream)
        stream.close()
    began = time.monotonic()
    whole(max_tokens=1)
    assert time.monotonic() - began < 30


def test_errors_are_the_sdks():
    for fields, param in (({"n": 0}, "n"), ({"top_p": 3}, "top_p"), ({"tools": TOOLS}, "tools")):
        try:
            ask(**fields)
        except openai.BadRequestError as error:
            assert error.status_code == 400 and error.param == param and error.type == "invalid_request_error"
        else:
            raise AssertionError(f"{param} was taken")


def test_vectors():
    if not EMBEDDER:
        return print("left out: no embedder (PERILUNE_TEST_EMBEDDER)")
    for form in ("float", "base64"):
        raw = client.embeddings.with_raw_response.create(model="vectors", input=["a", "b"], encoding_format=form)
        if form == "float":
            CreateEmbeddingResponse.model_validate(json.loads(raw.text))
        assert len(raw.parse().data) == 2


# -- Running ---------------------------------------------------------------------------------------

passed = failed = 0
with tempfile.TemporaryDirectory(prefix="perilune-local.") as folder:
    gateway = Gateway(folder)
    client = openai.OpenAI(base_url=gateway.url, api_key="sk-test", max_retries=0, timeout=120)
    try:
        for name, test in sorted((n, f) for n, f in globals().items() if n.startswith("test_")):
            try:
                test()
                passed += 1
            except Exception:
                failed += 1
                print(f"FAIL {name}")
                traceback.print_exc(limit=4, file=sys.stdout)
    finally:
        gateway.stop()
print(f"# local-python: {passed} passed, {failed} failed")
sys.exit(failed > 0)
