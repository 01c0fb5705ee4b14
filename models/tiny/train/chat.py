"""Chat template rendering with the environment that Hugging Face uses for chat templates."""
import json
import os

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = os.path.join(HERE, "..", "chat_template.jinja")


def _raise(msg):
    raise jinja2.exceptions.TemplateError(msg)


def _tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


_env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
_env.filters["tojson"] = _tojson
_env.globals["raise_exception"] = _raise
_tpl = None


def render(messages, tools=None, add_generation_prompt=False, **kw):
    global _tpl
    if _tpl is None:
        _tpl = _env.from_string(open(TEMPLATE, encoding="utf-8").read())
    return _tpl.render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt, **kw)
