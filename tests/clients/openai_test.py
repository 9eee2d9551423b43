"""openai_test.py -- OpenAI's SDK for Python, sync and async: direct and through the gateway."""

import asyncio
import sys

import openai
from pydantic import BaseModel

from compare import RETRY_HEADERS, Suite, failure, retold

suite = Suite("openai-python")
hello = [{"role": "user", "content": "Hello, Grüße"}]
tools = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "strict": True,
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                         "additionalProperties": False}}}]


class Weather(BaseModel):
    city: str
    degrees: int
    sky: str


# -- One way to say what came -------------------------------------------------------------------

def data_of(value):
    return value.model_dump(mode="json", warnings=False) if isinstance(value, BaseModel) else value


# Made once for each URL: a client reads the system's certificates, which takes longer than a test.
options = {"api_key": "sk-test", "timeout": 20}
plain_client, async_client = openai.OpenAI(**options), openai.AsyncOpenAI(**options)
loop = asyncio.new_event_loop()


def clients(url, retries=3):
    return [client.with_options(base_url=url, max_retries=retries) for client in (plain_client, async_client)]


def method(client, path):
    for name in path.split("."):
        client = getattr(client, name)
    return client


def run_sync(url, path, fields, retries):
    chunks = []
    try:
        result = method(clients(url, retries)[0], path)(**fields)
        if not fields.get("stream"):
            return {"answer": data_of(result)}
        for chunk in result:
            chunks.append(data_of(chunk))
        return {"chunks": chunks}
    except openai.OpenAIError as error:
        return {"chunks": chunks, "error": failure(error)}


async def run_async(url, path, fields, retries):
    chunks = []
    try:
        result = await method(clients(url, retries)[1], path)(**fields)
        if not fields.get("stream"):
            return {"answer": data_of(result)}
        async for chunk in result:
            chunks.append(data_of(chunk))
        return {"chunks": chunks}
    except openai.OpenAIError as error:
        return {"chunks": chunks, "error": failure(error)}


def compare(name, path, fields, expect=lambda direct: direct, retries=2):
    suite.compare(f"sync: {name}", lambda url: run_sync(url, path, fields, retries), expect)
    suite.compare(f"async: {name}", lambda url: loop.run_until_complete(run_async(url, path, fields, retries)), expect)


# -- Answers --------------------------------------------------------------------------------------

CHAT = "chat.completions.create"
extra = {"tools": {"tools": tools}, "texttools": {"tools": tools, "tool_choice": "auto"}, "n2": {"n": 2},
         "logprobs": {"logprobs": True, "top_logprobs": 1}, "length": {"max_tokens": 5}}

for script in ("chat", "empty", "length", "filtered", "tools", "texttools", "n2", "structured", "reasoning", "refusal",
               "logprobs", "slow", "azure", "ragged", "echo", "busy"):
    fields = {"model": script, "messages": hello, "temperature": 0.5, "user": "me", **extra.get(script, {})}
    compare(script, CHAT, fields)
    compare(f"{script}, stream", CHAT, {**fields, "stream": True})
    compare(f"{script}, stream with usage", CHAT,
            {**fields, "stream": True, "stream_options": {"include_usage": True}})

compare("parse", "chat.completions.parse", {"model": "structured", "messages": hello, "response_format": Weather})
compare("parse tools", "chat.completions.parse", {"model": "tools", "messages": hello, "tools": tools})
compare("parse what was cut off", "chat.completions.parse",
        {"model": "length", "messages": hello, "response_format": Weather})

compare("embeddings", "embeddings.create", {"model": "embed", "input": ["one", "two"]})
compare("embeddings, float", "embeddings.create", {"model": "embed", "input": "one", "encoding_format": "float"})
compare("completions", "completions.create", {"model": "any", "prompt": "Once"})
compare("completions, stream", "completions.create", {"model": "any", "prompt": "Once", "stream": True})

for script in ("chat", "tools", "busy"):
    compare(f"responses: {script}", "responses.create", {"model": script, "input": "Hello"})
for script in ("chat", "tools", "busy"):
    compare(f"responses: {script}, stream", "responses.create", {"model": script, "input": "Hello", "stream": True})
compare("responses: parse", "responses.parse", {"model": "structured", "input": "Hello", "text_format": Weather})


# The helper that puts a stream together.
def final(url):
    with clients(url)[0].chat.completions.stream(model="structured", messages=hello, response_format=Weather) as stream:
        kinds = {event.type for event in stream}
        return {"kinds": sorted(kinds), "final": data_of(stream.get_final_completion())}


suite.compare("sync: stream helper", final)

# -- Errors: README.md, "On the wire" --------------------------------------------------------------------

ERRORS = ("e400", "e400_context", "e400_vllm", "e401", "e403", "e404", "e404_ollama", "e413", "e422_fastapi",
          "e422_mistral", "e429", "e429_quota", "e500", "e503", "e529", "e502_html")

def fails(**members):
    """Not what it is without the gateway, which tells failures from answers."""
    def expect(direct):
        return {**direct, "saw": {"chunks": direct["saw"].get("chunks", []), "error": {
            "class": "APIError", "status": None, "param": None, "type": "upstream_error", "retry": None, **members}}}
    return expect


for script in ERRORS + ("errorevent",):
    compare(script, CHAT, {"model": script, "messages": hello}, retold(script))
for script in ERRORS:
    compare(f"{script}, stream", CHAT, {"model": script, "messages": hello, "stream": True}, retold(script))
for script in ("e400", "e429", "e500"):
    compare(f"embeddings: {script}", "embeddings.create", {"model": script, "input": "one"}, retold(script))
    compare(f"responses: {script}", "responses.create", {"model": script, "input": "one"}, retold(script))

NO_HEADERS = dict.fromkeys(RETRY_HEADERS)
for stream in (False, True):
    compare(f"error200, stream={stream}", CHAT, {"model": "error200", "messages": hello, "stream": stream}, fails(**{
        "class": "InternalServerError", "status": 502, "code": "upstream_error", "type": "server_error",
        "message": "Error code: 502 - Provider returned error", "retry": NO_HEADERS}), retries=0)
compare("cut", CHAT, {"model": "cut", "messages": hello}, fails(**{  # what was worked on is not to be repeated
    "class": "InternalServerError", "status": 502, "code": "upstream_truncated",
    "retry": {**NO_HEADERS, "x-should-retry": "false"},
    "message": "Error code: 502 - the upstream failed: it closed the connection before the answer was complete"}), retries=0)

compare("errorevent, stream", CHAT, {"model": "errorevent", "messages": hello, "stream": True})
compare("cut, stream", CHAT, {"model": "cut", "messages": hello, "stream": True}, fails(
    code="upstream_truncated", message="the upstream failed: it closed the connection before the answer was complete"))
compare("half, stream", CHAT, {"model": "half", "messages": hello, "stream": True}, fails(
    code="upstream_truncated", message="the upstream ended its stream too early"))
compare("responses: errorevent, stream", "responses.create", {"model": "errorevent", "input": "Hello", "stream": True})
compare("responses: cut, stream", "responses.create", {"model": "cut", "input": "Hello", "stream": True}, fails(
    code="upstream_truncated", message="the upstream failed: it closed the connection before the answer was complete"))


# -- Leaving -------------------------------------------------------------------------------------------

def gives_up(name, leave):
    def check(way):
        leave(suite.stage.urls[way])
        suite.stage.until("the upstream is left", lambda seen: seen["aborted"] == 1 and seen["open"] == 0)

    for way in ("plain", "mapped"):
        suite.check(f"{name} ({way})", lambda: check(way))


def break_off(url):
    with clients(url)[0].chat.completions.create(model="endless", messages=hello, stream=True) as stream:
        for _, chunk in zip(range(3), stream):
            assert chunk.choices[0].delta.content


def time_out(fields):
    def leave(url):
        for seconds in (0.5, 2, 8):  # on a machine with much to do, the first may be over before anybody is asked
            try:
                clients(url, 0)[0].with_options(timeout=seconds).chat.completions.create(messages=hello, **fields)
            except openai.APITimeoutError:
                if suite.stage.ask("seen")["calls"] > 0:
                    return
                continue
            raise AssertionError("it did not time out")
        raise AssertionError("the upstream was not asked in 8 seconds")
    return leave


def cancel(path, fields):
    async def run(url):
        async def consume():
            async for _ in await method(clients(url)[1], path)(**fields):
                pass

        task = asyncio.create_task(consume())
        await asyncio.to_thread(suite.stage.until, "the upstream is asked", lambda seen: seen["open"] == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    return lambda url: loop.run_until_complete(run(url))


gives_up("sync: a stream that is closed", break_off)
gives_up("sync: a timeout", time_out({"model": "hang"}))
gives_up("sync: a timeout before the first token", time_out({"model": "hang", "stream": True}))
for script, when in (("hang", "before the first token"), ("endless", "in a stream")):
    gives_up(f"async: a task cancelled {when}", cancel(CHAT, {"model": script, "messages": hello, "stream": True}))
gives_up("async: responses, cancelled", cancel("responses.create", {"model": "endless", "input": "x", "stream": True}))

sys.exit(suite.end())
