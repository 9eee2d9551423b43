"""langchain_test.py -- LangChain's ChatOpenAI and OpenAIEmbeddings: direct and through the gateway."""

import asyncio
import sys

import openai
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from compare import Suite, failure, retold

suite = Suite("langchain")
loop = asyncio.new_event_loop()
hello = [HumanMessage("Hello, Grüße")]


@tool
def get_weather(city: str) -> str:
    """The weather."""
    return city


class Weather(BaseModel):
    """What the weather is like."""
    city: str
    degrees: int
    sky: str


# One for all: a client reads the system's certificates, which takes longer than a test.
http = {"http_client": openai.DefaultHttpxClient(), "http_async_client": openai.DefaultAsyncHttpxClient()}


def model(url, script, **more):
    return ChatOpenAI(model=script, base_url=url, api_key="sk-test", max_retries=2, timeout=20, **http, **more)


# -- One way to say what came ---------------------------------------------------------------

def data_of(value):
    """Messages without the identifiers that LangChain makes up for each."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", warnings=False)
    if isinstance(value, dict):
        return {k: data_of(v) for k, v in value.items() if not (k == "id" and str(v).startswith(("run-", "lc_run")))}
    return [data_of(v) for v in value] if isinstance(value, list) else value


def attempt(call):
    """What `call` gives or how it fails."""
    try:
        return {"answer": data_of(call())}
    except openai.APIError as error:
        return {"chunks": [], "error": failure(error)}


def together(chunks):
    """Chunks added up, as LangChain does; None when there were none."""
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    return total


async def gather(chunks):
    return together([chunk async for chunk in chunks])


def run(coroutine):
    return loop.run_until_complete(coroutine)


def compare(name, ask, expect=lambda direct: direct):
    suite.compare(name, lambda url: attempt(lambda: ask(url)), expect)


# -- Answers -----------------------------------------------------------------------------------

SCRIPTS = {"chat": {}, "empty": {}, "length": {"max_tokens": 5}, "n2": {"n": 2}, "reasoning": {}, "refusal": {},
           "logprobs": {"logprobs": True}, "slow": {}, "azure": {}, "ragged": {}, "echo": {"seed": 1}, "busy": {}}

for script, fields in SCRIPTS.items():
    def one(url, script=script, fields=fields):
        return model(url, script, **fields)

    compare(f"invoke: {script}", lambda url: one(url).invoke(hello))
    compare(f"ainvoke: {script}", lambda url: run(one(url).ainvoke(hello)))
    if script == "n2":  # LangChain adds the texts of both choices up in the order in which they come
        continue
    compare(f"stream: {script}", lambda url: together(one(url).stream(hello)))
    compare(f"stream without usage: {script}",
            lambda url: together(one(url).stream(hello, stream_usage=False)))
    compare(f"astream: {script}", lambda url: run(gather(one(url).astream(hello))))

for script in ("tools", "texttools"):
    def armed(url, script=script):
        return model(url, script).bind_tools([get_weather], parallel_tool_calls=True)

    compare(f"tools: {script}", lambda url: armed(url).invoke(hello))
    compare(f"tools: {script}, stream", lambda url: together(armed(url).stream(hello)))
    compare(f"tools: {script}, astream", lambda url: run(gather(armed(url).astream(hello))))

turns = [*hello, AIMessage("", tool_calls=[{"id": "call_a", "name": "get_weather", "args": {"city": "Köln"}}]),
         ToolMessage("21 degrees", tool_call_id="call_a")]
compare("tools: the second turn", lambda url: model(url, "echo").bind_tools([get_weather]).invoke(turns))

for way in ("json_schema", "json_mode"):
    compare(f"structured: {way}",
            lambda url: model(url, "structured").with_structured_output(Weather, method=way).invoke(hello))
    compare(f"structured: {way}, stream",
            lambda url: list(model(url, "structured").with_structured_output(Weather, method=way).stream(hello))[-1])
compare("batch", lambda url: model(url, "chat").batch([hello, hello, hello]))
compare("generate", lambda url: model(url, "n2", n=2).generate([hello]).generations[0])

for script in ("chat", "tools", "busy"):
    compare(f"responses: {script}", lambda url: model(url, script, use_responses_api=True).invoke(hello))
    compare(f"responses: {script}, stream",
            lambda url: together(model(url, script, use_responses_api=True).stream(hello)))


def vectors(url):
    return OpenAIEmbeddings(model="embed", base_url=url, api_key="sk-test", check_embedding_ctx_length=False, **http)


compare("embeddings", lambda url: vectors(url).embed_documents(["one", "two"]))
compare("embeddings, async", lambda url: run(vectors(url).aembed_query("one")))

# -- Errors: what openai_test.py compares to the letter; here, what LangChain makes of them -------

ERRORS = ("e400", "e400_context", "e401", "e404", "e422_fastapi", "e429", "e429_quota", "e500", "e503")


for script in ERRORS:
    compare(f"invoke: {script}", lambda url: model(url, script).invoke(hello), retold(script))
    compare(f"stream: {script}", lambda url: together(model(url, script).stream(hello)), retold(script))
compare("stream: errorevent", lambda url: together(model(url, "errorevent").stream(hello)))


# -- Leaving ---------------------------------------------------------------------------------------

async def cancel(url, script):
    task = asyncio.create_task(gather(model(url, script).astream(hello)))
    await asyncio.to_thread(suite.stage.until, "the upstream is asked", lambda seen: seen["open"] == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def break_off(url):
    stream = model(url, "endless").stream(hello)
    for _ in range(3):
        next(stream)
    stream.close()


def gives_up(name, leave):
    def check(way):
        leave(suite.stage.urls[way])
        suite.stage.until("the upstream is left", lambda seen: seen["aborted"] == 1 and seen["open"] == 0)

    for way in ("plain", "mapped"):
        suite.check(f"{name} ({way})", lambda: check(way))


gives_up("a stream that is closed", break_off)
for script, when in (("hang", "before the first token"), ("endless", "in a stream")):
    gives_up(f"a task cancelled {when}", lambda url: run(cancel(url, script)))

sys.exit(suite.end())
