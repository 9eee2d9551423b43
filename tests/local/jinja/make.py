"""Renders templates and snippets with Jinja2 as transformers sets it up; writes cases.json."""
import datetime, glob, json, os
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import SandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = 1732924800  # 2024-11-30 00:00:00 UTC; ORDER tests/unit/test_jinja.c


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render(text, variables):
    env = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    try:
        template = env.from_string(text)
    except Exception:
        return {"refused": True}
    try:
        return {"text": template.render(**variables)}
    except Raised as e:
        return {"raised": str(e)}
    except Exception:
        return {"fails": True}


def user(s): return {"role": "user", "content": s}
def assistant(s): return {"role": "assistant", "content": s}
def system(s): return {"role": "system", "content": s}
def tool(s, call): return {"role": "tool", "content": s, "tool_call_id": call, "name": "get_weather"}


def calling(arguments, *ids):
    return {"role": "assistant", "content": "", "tool_calls": [
        {"id": i, "type": "function", "function": {"name": "get_weather", "arguments": arguments}} for i in ids]}


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a place.\nNow.",
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": "City, e.g. \"Paris\" <b>"},
            "days": {"type": "integer", "enum": [1, 2]}, "unit": {"type": ["string", "null"], "default": "C"},
            "list": {"type": "array", "items": {"type": "string"}}}, "required": ["place"]}}},
    {"type": "function", "function": {"name": "现在", "description": "时间",
                                      "parameters": {"type": "object", "properties": {}}}}]
PARIS = {"place": "Paris", "days": 1}
CHATS = {
    "plain": {"messages": [user("Hi there")]},
    "no prompt": {"messages": [user("Hi"), assistant(" Hello\n"), user("  你好，世界 \n ")], "add_generation_prompt": False},
    "system": {"messages": [system("Be brief."), user("Hi"), assistant("<think>\nhm\n</think>\n\nYes"), user("and?")]},
    "tools": {"messages": [system("Be brief."), user("Weather?")], "tools": TOOLS},
    "call": {"messages": [user("Weather?"), calling(PARIS, "abcdefghi"), tool('{"t": 1.50}', "abcdefghi"), assistant("ok"),
                          user("thx")], "tools": TOOLS},
    "call as text": {"messages": [user("Weather?"), calling(json.dumps(PARIS), "abcdefghi"), tool("22", "abcdefghi")], "tools": TOOLS},
    "two calls": {"messages": [user("W"), calling({"x": [1, 2.5, None, True, "a'b"]}, "aaaaaaaaa", "bbbbbbbbb"),
                               tool("1", "aaaaaaaaa"), tool("2", "bbbbbbbbb")], "tools": TOOLS},
    "parts": {"messages": [user([{"type": "text", "text": "part one"}, {"type": "text", "text": "two"}])]},
    "reasoning": {"messages": [user("q"), {"role": "assistant", "content": "a", "reasoning_content": "because"}, user("r")],
                  "enable_thinking": True},
    "no thinking": {"messages": [user("q")], "enable_thinking": False},
    "two assistants": {"messages": [assistant("first"), assistant("second")]},
    "nothing": {"messages": []},
}
COMMON = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}

VALUES = {"s": "  Hello, World \n", "zh": "　你好，世界　", "l": [3, 1, 2, 1], "d": {"b": 1, "a": {"c": [1, "x"]}, "items": 5},
          "f": 1.5, "n": None, "t": True, "e": [], "big": 123456789012345678901234567890,
          "rows": [{"k": "b", "v": 1}, {"k": "A", "v": None}, {"k": "c"}], "names": ["x", "Y", "z", "y"]}


def main():
    cases = []
    for path in sorted(glob.glob(os.path.join(HERE, "templates", "*.jinja"))):
        for name, chat in CHATS.items():
            variables = dict(COMMON, **chat)
            case = {"template": os.path.basename(path), "name": name, "vars": variables}
            with open(path, newline="") as f:
                case.update(render(f.read(), variables))
            cases.append(case)
    with open(os.path.join(HERE, "snippets.txt")) as f:
        for source in f.read().split("\n----\n"):
            case = {"source": source, "vars": VALUES}
            case.update(render(source, VALUES))
            cases.append(case)
    with open(os.path.join(HERE, "cases.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    print(len(cases), "cases,", sum("text" in c for c in cases), "rendered")


main()
