"""The OpenAPI page of the session service: every address, what it takes and what it answers, without a script and without another server."""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2321;background:#fff}
h2{margin-top:2rem;font-size:1.1rem;border-top:1px solid #ccd5d0;padding-top:1rem}code{background:#eef3f0;padding:.1em .3em}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #e3eae6}"""


def page(schema: dict[str, Any]) -> str:
    """The page of an OpenAPI schema."""
    info, models = schema["info"], schema.get("components", {}).get("schemas", {})
    parts = [f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))}</p>",
             '<p>The same for programs: <a href="/openapi.json"><code>/openapi.json</code></a>. With a token, every request but this page states '
             "<code>Authorization: Bearer TOKEN</code>. What is refused is told as <code>error</code>, <code>place</code>, <code>wanted</code>, "
             "<code>found</code>, <code>next_step</code>.</p>"]
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(told.get('description', ''))}</p>")
            parts += [_table("Asks", rows) for rows in (_parameters(told), _fields(_body(told), models)) if rows]
            for status, reply in told.get("responses", {}).items():
                rows = _fields(_content(reply), models) if status.startswith("2") else []
                parts.append(f"<p><b>{escape(status)}</b> {escape(reply.get('description', ''))}</p>" + (_table("Answers", rows) if rows else ""))
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title><style>{STYLE}</style></head>'
            f"<body><main>{''.join(parts)}</main></body></html>")


def _content(told: dict[str, Any]) -> dict[str, Any]:
    return told.get("content", {}).get("application/json", {}).get("schema", {})


def _body(told: dict[str, Any]) -> dict[str, Any]:
    return _content(told.get("requestBody", {}))


def _parameters(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["name"], _kind(one["schema"]), one.get("description", "")) for one in told.get("parameters", ())]


def _fields(schema: dict[str, Any], models: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, kind and meaning of each field of an object."""
    model = models.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return [(name, _kind(own), own.get("description", "")) for name, own in model.get("properties", {}).items()]


def _kind(schema: dict[str, Any]) -> str:
    """What a field holds, in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [f"{word} {schema[name]}" for name, word in (("minimum", "at least"), ("maximum", "at most"), ("minLength", "from"), ("maxLength", "up to"))
              if name in schema]
    return ", ".join([str(schema.get("type", "any")), *limits])


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    body = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(words)}</td></tr>" for name, kind, words in rows)
    return f"<table><thead><tr><th>{title}</th><th>is</th><th>means</th></tr></thead><tbody>{body}</tbody></table>"
