"""compare.py -- the same calls of an SDK direct, through the gateway, and through a map.

A test is a function of a base URL that returns plain data: what a caller of the SDK
would see, errors included.  `compare` runs it three ways (stage.mjs) and the results
must be equal.  Through `map` words arrive in other pieces, so streams are folded first.
"""

import copy
import json
import os
import re
import subprocess
import sys
import time
import traceback
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


class Stage:
    """Upstream and gateway, in a process of their own that ends when its stdin does."""

    def __init__(self):
        self.process = subprocess.Popen(["node", os.path.join(HERE, "stage.mjs")], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the stage did not begin; see above")
        self.__dict__.update(json.loads(line))

    def ask(self, what):
        with urllib.request.urlopen(f"{self.upstream}/{what}", timeout=10) as answer:
            return json.load(answer)

    def until(self, what, holds, seconds=20):
        """The one way of waiting: asks the upstream until `holds` is true."""
        deadline = time.monotonic() + seconds
        while not holds(seen := self.ask("seen")):
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}; the upstream saw {seen}")
            time.sleep(0.005)

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=20)
        if status != 0:
            raise AssertionError(f"the stage ended with status {status}")


# -- What a caller saw ----------------------------------------------------------------------

def fold_delta(to, delta):
    for name, value in delta.items():
        if isinstance(value, str) and name in ("content", "reasoning_content", "refusal", "arguments"):
            to[name] = (to.get(name) or "") + value
        elif name == "tool_calls":
            for call in value or []:
                fold_delta(to.setdefault("tool_calls", {}).setdefault(str(call["index"]), {}), call)
        elif name == "function":
            fold_delta(to.setdefault(name, {}), value or {})
        elif value is not None:
            to[name] = value


def fold(chunks):
    """Chunks of a chat put together: texts, calls, reasons and log probabilities of each choice."""
    choices, rest = {}, {}
    for chunk in chunks:
        for choice in chunk.get("choices") or []:
            to = choices.setdefault(str(choice["index"]), {"delta": {}, "logprobs": []})
            fold_delta(to["delta"], choice["delta"])
            to["logprobs"] += (choice.get("logprobs") or {}).get("content") or []
            if choice.get("finish_reason"):
                to["finish_reason"] = choice["finish_reason"]
        rest.update({k: v for k, v in chunk.items() if k != "choices" and v is not None})
    return {"choices": choices, **rest}


def difference(a, b, at="result"):
    """The first place where two results are not the same, or None."""
    if type(a) is type(b) and isinstance(a, dict):
        for key in sorted(set(a) | set(b)):
            if key not in a or key not in b:
                where, value = ("direct", a[key]) if key in a else ("the gateway's", b[key])
                return f"{at}.{key} is only in {where}: {value!r:.200}"
            if found := difference(a[key], b[key], f"{at}.{key}"):
                return found
        return None
    if type(a) is type(b) and isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b)):
            if found := difference(x, y, f"{at}[{i}]"):
                return found
        return None if len(a) == len(b) else f"{at} has {len(a)} and {len(b)} items: {a!r:.300} and {b!r:.300}"
    return None if a == b else f"{at}: {a!r:.300} and {b!r:.300}"


# -- How calls fail: README.md, "On the wire" ---------------------------------------------------

RETRY_HEADERS = ("retry-after-ms", "x-should-retry", "x-ratelimit-remaining-requests")


def failure(error):
    """What programs look at when a call fails.  The header is that of the last answer."""
    response = getattr(error, "response", None)
    return {"class": type(error).__name__, "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None), "type": getattr(error, "type", None),
            "param": getattr(error, "param", None), "message": str(error),
            "retry": None if response is None else {name: response.headers.get(name) for name in RETRY_HEADERS}}


# What is said for upstreams of another shape, and for those that fail without a code: type, param and reason.
SAID = {"e400_vllm": ("BadRequestError", None, "max_tokens is too large"),
        "e404_ollama": ("invalid_request_error", None, 'model "x" not found, try pulling it first'),
        "e422_fastapi": ("invalid_request_error", "messages", "messages: Field required"),
        "e422_mistral": ("invalid_request_error", "n", "n: too large"),
        "e500": ("server_error", None, "The server had an error"),
        "e503": ("server_error", None, "The engine is overloaded"),
        "e529": ("overloaded_error", None, "Overloaded"),
        "e502_html": ("upstream_error", None, "502 Bad Gateway"),
        "errorevent": ("server_error", None, "The server had an error")}


def retold(script):
    """A request that is at fault is told so in the words of the upstream; other failures say who failed."""
    def expect(direct):
        if script in SAID:
            error = direct["saw"]["error"]
            status, (kind, param, reason) = error["status"], SAID[script]
            ours = {500: 502, 529: 503}.get(status, status)
            error.update(status=ours, code="upstream_status", type=kind, param=param,
                         message=f"Error code: {ours} - the upstream answered {status}: {reason}")
        return direct
    return expect


# -- Running ---------------------------------------------------------------------------------

class Suite:
    def __init__(self, name):
        self.name, self.stage, self.passed, self.failed, self.known = name, Stage(), 0, 0, {}
        self.only = sys.argv[1] if len(sys.argv) > 1 else ""

    def check(self, name, fn):
        if self.only not in name:
            return
        try:
            self.stage.ask("reset")
            fn()
        except Exception as error:  # a test may fail in every way
            self.failed += 1
            print(f"not ok {self.name}: {name}\n    {error}")
            if not isinstance(error, AssertionError):
                traceback.print_exc(limit=-6, file=sys.stdout)
        else:
            self.passed += 1

    def compare(self, name, call, expect=lambda direct: direct):
        """`call(url)` gives the same three ways.  `expect` says what the gateway documents to change."""
        def run(way):
            self.stage.ask("reset")
            saw = call(self.stage.urls[way])
            seen = self.stage.ask("seen")
            return {"saw": saw, "calls": seen["calls"], "sent": without_usage(seen["last"])}

        def both(way):
            want, got = expect(self.direct(name, run)), run(way)
            if way == "mapped":
                want, got = folded(want), folded(got)
            if found := difference(want, got):
                raise AssertionError(found)

        for way in ("plain", "mapped"):
            self.check(f"{name} ({way})", lambda: both(way))

    def direct(self, name, run):
        if self.known.get("name") != name:
            self.known = {"name": name, "result": run("direct")}
        return copy.deepcopy(self.known["result"])

    def end(self):
        self.check("the gateway lives", self.stage.stop)
        print(f"# {self.name}: {self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def without_usage(body):
    """What was asked, but for stream_options, which the gateway asks for on its own account."""
    return {k: v for k, v in (body or {}).items() if k != "stream_options"}


def unlogged(value):
    """Without log probabilities, which a mapped answer has none of."""
    if isinstance(value, dict):
        return {k: unlogged(v) for k, v in value.items() if k != "logprobs"}
    return [unlogged(v) for v in value] if isinstance(value, list) else value


def folded(result):
    saw = unlogged(result["saw"])
    if isinstance(saw, dict) and any("delta" in c for e in saw.get("chunks") or [] for c in e.get("choices") or []):
        whole = fold(saw["chunks"])
        for choice in whole["choices"].values() if "error" in saw else ():
            # A word that nobody ended is held back by map, and goes when the stream fails.
            choice["delta"]["content"] = re.sub(r"\S+$", "", choice["delta"]["content"])
        saw = {**saw, "chunks": whole}
    return {**result, "saw": saw}
