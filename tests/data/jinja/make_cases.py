#!/usr/bin/python3
"""Writes cases.json: small templates with the text that Jinja2 itself renders, or "error".

The environment is the one chat templates are written for: trim_blocks, lstrip_blocks, loop controls,
the immutable sandbox, and a tojson filter without HTML escaping (python3-jinja2 3.1.2).
Run it after adding a template; the C++ engine's test reads only the JSON file.
"""
import json
import os
import warnings

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

warnings.simplefilter("ignore")

VARIABLES = {
    "s": "Hello, World", "empty": "", "pad": " \t x y \n", "uni": "Grüße 日本 🚀", "nbsp": "\u00a0a\u3000",
    "lines": "one\n  two\n\nthree\n", "tag": "<b>&'\"</b>", "n": 7, "neg": -3, "f": 2.5, "big": 18446744073709551615,
    "t": True, "no": False, "nil": None, "list": [3, 1, 2], "words": ["b", "A", "c", "B"], "none_list": [],
    "d": {"b": 1, "A": [1, 2], "c": {"x": None}}, "nested": [{"name": "x", "f": {"v": 2}}, {"name": "y", "f": {"v": 1}}, {"name": "z"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}],
    "floats": [1.0, 0.1, 1e16, 1e15, 1e-5, 0.0001, 123456789.125, -0.0, 1e300, 5e-324, 100.0],
}

# One template per entry.
EXPRESSIONS = r"""
1 + 2 * 3
7 // 2
-7 // 2
-7 % 3
7 % -3
7 / 2
6 / 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
7.5 // 2
-7.5 % 2
1.0
1e3
1_000
0.1 + 0.2
-3|abs
(-3)|abs
'a' ~ 1 ~ none ~ true
'a' 'b'
'a' * 3
[1, 2] * 2
[1] + [2]
(1, 2) + (3,)
(1,)
()
[1, 'a', none, true, 1.5, "it's", 'q"q', 'both\'"', 'n\nt\t', {'k': [1]}]
1 < 2 < 3
1 < 3 < 2
1 == 1.0
true == 1
'1' == 1
none == none
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
'abc' < 'abd'
[1, 2] < [1, 3]
1 < 'a'
'ell' in s
'x' not in s
1 in list
'b' in d
1 in d
1 in 's'
'a' in undefined_name
not ''
not 0
none or 'x'
0 and 1
1 and 2
'' or none or []
not true and false
1 if false
1 if true else 2
1 if false else 2 if false else 3
undefined_name
undefined_name is defined
undefined_name is none
undefined_name is string
undefined_name is iterable
undefined_name is sequence
undefined_name is mapping
undefined_name == other_undefined
undefined_name.x
undefined_name['x']
undefined_name + 1
undefined_name ~ 'x'
undefined_name()
undefined_name|length
undefined_name|trim
undefined_name|upper
undefined_name|list
undefined_name|items|list
undefined_name|tojson
undefined_name|default('dflt')
d.missing|default('dflt')
nil|default('dflt')
nil|default('dflt', true)
''|d('x', boolean=true)
d.missing.deeper
d.b
d['b']
d.c.x
d['c']['x'] is none
d.get('b')
d.get('zz')
d.get('zz', 5)
d.keys()|list
d.values()|list
d.items()|list
d|items|list
'str'|items|list
list|items|list
d|length
d|list
d|first
d.items is defined
list[0]
list[-1]
list[9]
list[9] is defined
list[1:]
list[:-1]
list[::-1]
list[::2]
list[5:]
list[-2:]
list[2:0:-1]
list['x']
s[0]
s[-1]
s[99]
s[1:4]
s[::-1]
s[::-2]
s[:5:2]
uni[0:3]
uni[-1]
uni|length
uni[::-1]
s.upper()
s.lower()
'äöé日x'.upper()
'ÄÖÉ日X'|lower
'hELLO wORLD'.title()
"they're here".title()
"they're a-b (c)"|title
'hELLO'.capitalize()
'hELLO'|capitalize
pad.strip()
pad.lstrip()
pad.rstrip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('xy')
'\n\na\n'.strip('\n')
'a--'.rstrip('-')
nbsp.strip()
nbsp|trim
'--a--'|trim('-')
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.rsplit(',', 1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
'abc'.split('')
''.split(',')
''.split()
'a</think>b</think>c'.split('</think>')[-1]
lines.splitlines()
s.startswith('He')
s.startswith(('x', 'He'))
s.endswith('ld')
s.endswith('')
s.find('o')
s.rfind('o')
s.find('zz')
uni.find('日')
s.count('l')
s.count('')
s.replace('l', 'L')
s.replace('l', 'L', 2)
s.replace('', '-')
'aaa'.replace('aa', 'b')
s|replace('o', '0', 1)
'-'.join(words)
'-'.join([1])
'ab'.isdigit()
'12'.isdigit()
''.isdigit()
'  '.isspace()
'prefix-x'.removeprefix('prefix-')
'x.tmp'.removesuffix('.tmp')
list.index(1)
list.count(1)
list.append(1)
d.update({'a': 1})
s.foo
s|length
s|count
list|length
n|length
s|upper
s|lower
s|first
s|last
list|first
list|last
none_list|first
none_list|last
list|join
list|join(', ')
nested|join('-', attribute='name')
list|sort
list|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
nested|sort(attribute='name', reverse=true)|map(attribute='name')|list
words|unique|list
['a', 'A', 'b']|unique|list
['a', 'A', 'b']|unique(case_sensitive=true)|list
list|reverse|list
s|reverse
list|sum
list|sum(start=10)
nested[:2]|sum(attribute='f.v')
list|min
list|max
words|max
none_list|max
d|dictsort
d|dictsort(case_sensitive=true)
{'a': 2, 'b': 1}|dictsort(by='value')
{'a': 2, 'b': 1}|dictsort(false, 'key', true)
nested|map(attribute='name')|list
nested|map(attribute='f.v', default=0)|list
words|map('upper')|list
words|map('replace', 'A', 'z')|join
words|map('nosuch')|list
list|select('odd')|list
list|reject('odd')|list
[0, 1, '', 'a', none]|select|list
list|select('gt', 1)|list
list|select('in', [1, 2])|list
nested|selectattr('f')|map(attribute='name')|list
nested|selectattr('name', 'equalto', 'y')|list|length
nested|rejectattr('name', 'eq', 'y')|map(attribute='name')|join
messages|selectattr('role', 'ne', 'system')|list|length
nested|selectattr('f', 'defined')|list|length
s|nosuchfilter
s is nosuchtest
tag|e
tag|escape
tag|safe
tag|string
n|string
f|string
t|string
nil|string
list|string
d|string
big
big|tojson
big + 1
floats
floats|tojson
1e22
123456789012345678
n|tojson
tag|tojson
uni|tojson
uni|tojson(ensure_ascii=true)
lines|tojson
'\x00\x1f\x7f'|tojson
'\b\f'|tojson
d|tojson
d|tojson(indent=2)
d|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
[]|tojson(indent=2)
{}|tojson(indent=2)
{1: 2, none: 3, true: 4}|tojson
(1, 2)|tojson
'12'|int
'12.7'|int
'x'|int
'x'|int(-1)
' 5 '|int
3.9|int
-3.9|int
nil|int
'1.5'|float
'x'|float
'x'|float(2.5)
2.5|round
3.5|round
2.567|round(2)
2.1|round(0, 'ceil')
2.9|round(method='floor')
7|round
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, blank=true)
lines|indent('> ')
''|indent
n is number
t is number
t is boolean
n is integer
t is integer
f is float
f is integer
s is string
list is sequence
s is sequence
d is sequence
n is sequence
s is iterable
n is iterable
nil is iterable
d is mapping
list is mapping
nil is none
nil is not none
t is true
t is false
1 is true
n is odd
n is even
n is divisibleby 7
n is divisibleby(3)
n is eq 7
n is ne 7
n is lt 8
n is ge 8
n is in [7, 8]
n is not in [7, 8]
n is sameas 7
'ABC' is upper
'abc' is lower
'aBc' is lower
'1' is lower
range is callable
not n is defined
n is defined and s is defined
'a' if n is defined else 'b'
range(3)|list
range(1, 4)|list
range(5, 0, -2)|list
range(0)|list
range(1, 2, 0)|list
dict(a=1, b=2)
dict({'x': 1}, y=2)
namespace(a=1).a
namespace(a=1).b is defined
namespace({'q': 2}).q
{'a': 1, 'a': 2}
{'a': 1,}
[1, 2,]
1, 2
'%' ~ '}}'
{'a': {'b': {}}}
'\u00e9\x41\U0001F680'
'\q'
"\""
1 +
(1
[1}
1 2
a b
'unterminated
s.
s|
s is
1 is is
f(
f(a=1, 2)
1 / 0
1 // 0
1 % 0
1.0 / 0
n.foo
n.foo.bar
nil.foo
list.0
nested[0].name
nested[0]['f'].v
'a' < none
-'a'
not
loop
'a'.b()
s()
n()
1|default(2)
(1 if true else 2) + 3
'x' ~ (1 if no else '')
(n > 5) == true
n > 5 == true
1 in [1] == true
s|trim|upper|length
('a' ~ 'b')|upper
'a' ~ 'b'|upper
'a' + 'b'|upper
-1|string
2 * 3|string
['a', 'b']|join(',') ~ '!'
""".strip("\n").split("\n")

TEMPLATES = [
    "a\n", "a\n\n", "a\r\nb\r", "",
    "{% if t %}\nyes\n{% endif %}\n", "  {% if t %}\n  yes\n  {% endif %}\nend",
    "x  {% if t %}y{% endif %}  z", "x\n  {%- if t %} y {%- endif %}\n z", "x\n  {%+ if t %} y {% endif +%}\n z",
    "a {{- s -}} b", "a\n  {{ s }}\n  b", "  {{- s }}", "{{ s -}}  \n  x", "a {# c #} b\n{# d #}\nc", "a\n  {#- c -#}\n  b",
    "{#-#}x", "{# unterminated", "{{ 'x' }}\n{{ 'y' }}\n", "{% set x = 1 %}\n\n{{ x }}", "{ { x } } {% if t %}{{ '{' }}{% endif %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}!", "a {%- raw -%}  {{ x }}  {%- endraw -%}  b", "{% raw %}\nx\n{% endraw %}\ny", "{% raw %}x",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = (1, 2) %}{{ a + b }}", "{% set x = 1, 2 %}{{ x }}",
    "{% set x %}hi {{ n }}{% endset %}[{{ x }}]", "{% set x | upper %}hi {{ n }}{% endset %}[{{ x }}]",
    "{% set x | replace('h', 'y') | upper %}hi{% endset %}{{ x }}",
    "{% set ns = namespace(i=0) %}{% for x in list %}{% set ns.i = ns.i + x %}{% endfor %}{{ ns.i }}",
    "{% set i = 0 %}{% for x in list %}{% set i = i + x %}{{ i }},{% endfor %}{{ i }}", "{% set d.x = 1 %}", "{% set zz.x = 1 %}",
    "{% if t %}{% set q = 5 %}{% endif %}{{ q }}", "{% for x in list %}{% if t %}{% set q = x %}{% endif %}{{ q }}{% endfor %}{{ q }}",
    "{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if no %}a{% else %}c{% endif %}", "{% if t %}", "{% endif %}",
    "{% if t %}a{% else %}b{% else %}c{% endif %}", "{% else %}", "{% if %}x{% endif %}",
    "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in list %}{{ loop.previtem }}-{{ loop.nextitem }};{% endfor %}", "{% for x in list %}{{ loop.previtem is defined }}{% endfor %}",
    "{% for x in list %}{{ loop.depth }}{% for y in list %}{{ loop.depth0 }}{% endfor %}{% endfor %}",
    "{% for x in none_list %}a{% else %}none{% endfor %}", "{% for x in undefined_name %}a{% else %}none{% endfor %}", "{% for x in n %}{% endfor %}",
    "{% for x in nil %}{% endfor %}", "{% for c in uni %}[{{ c }}]{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in list %}{% endfor %}",
    "{% for x in list if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }};{% endfor %}", "{% for x in list if x > 9 %}a{% else %}b{% endfor %}",
    "{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% break %}", "{% for x in list if x is odd and x is not none %}{{ x }}{% endfor %}", "{% for x in (list if t else []) %}{{ x }}{% endfor %}",
    "{% for x in list %}{% endfor %}{{ x is defined }}", "{% for x in list %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in list[::-1] %}{{ x }}{% endfor %}", "{% for x in list|sort %}{{ x }}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}",
    "{% for m in messages %}{{ '<' ~ m.role ~ '>' ~ m['content'] }}{% endfor %}",
    "{% macro m(a, b='B') %}({{ a }}{{ b }}){% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m() %}x{% endmacro %}{{ m()|upper }}{{ m() ~ 'y' }}{{ m() is string }}", "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}",
    "{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro m() %}{{ x is defined }}{% endmacro %}{% for x in list %}{{ m() }}{% endfor %}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}body {{ n }}{% endcall %}", "{% macro m() %}<{{ caller(1) }}{{ caller(2) }}>{% endmacro %}{% call(x) m() %}[{{ x }}]{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1) }}{{ y is defined }}",
    "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for x in [1] %}{{ m() }}{% endfor %}", "{% macro m(a, b=1, c) %}{% endmacro %}", "{% macro m(a %}{% endmacro %}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter trim | upper %} a {% endfilter %}|", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ b }}{% endwith %}", "{% include 'x' %}", "{% extends 'x' %}", "{% nosuch %}",
    "{% set %}", "{% set x %}", "{{ }}", "{% %}", "{{ s", "{% if t", "{{ 'a' }", "}} %} #}", "{{ raise_exception('boom') }}", "{% if no %}{{ raise_exception('boom') }}{% endif %}ok",
    "{{ s ~ '\n' }}{{ '\\n' }}|", "{{ [1,2]|map('string')|join(',') }}", "{%- for m in messages -%}\n  {{ m.role }}\n{%- endfor -%}\n end",
    "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\nend", "\t{% if t %}x{% endif %}\n\t {# c #}\n y", "{{ d.items()|list|length }}{{ d.keys() | list | join }}",
    "{% set x = {'a': 1} %}{{ x.a }}{{ x['a'] }}{{ x.b is defined }}", "{% set l = [] %}{% set l = l + [1] %}{{ l }}", "{{ namespace(x=1).x }}{% set ns = namespace() %}{% set ns.y = 2 %}{{ ns.y }}{{ ns['y'] }}",
    "{% if undefined_name %}a{% else %}b{% endif %}", "{% if messages[0].role == 'system' and messages[0].content %}{{ messages[0].content }}{% endif %}",
    "{{ s if s is string else (s | tojson) }}", "{% if 'a' is in 'abc' %}1{% endif %}", "{{ messages | tojson }}", "{{- '<think>\\n' + '' + '\\n' }}",
    "{% set c = messages[1].content %}{{ c.split('x')[0].rstrip('\\n').split('U')[-1].lstrip('\\n') }}|", "{% macro m(a) -%}\n  x{{ a }}\n{%- endmacro %}\n{{ m(1) }}", "{{ (messages | last).role }}", "{{ messages[-1]['role'] }}{{ messages|map(attribute='role')|join('/') }}",
]


def _raise(message):
    raise jinja2.exceptions.TemplateError(message)


def _tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = _tojson
    env.globals["raise_exception"] = _raise
    cases = []
    for template in ["{{ " + e + " }}" for e in EXPRESSIONS] + TEMPLATES:
        try:
            cases.append({"template": template, "rendered": env.from_string(template).render(**VARIABLES)})
        except Exception:  # whatever Python raises, the template is wrong
            cases.append({"template": template, "error": True})
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"variables": VARIABLES, "cases": cases}, f, ensure_ascii=False, indent=1)
        f.write("\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
