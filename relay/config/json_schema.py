"""Writes the schema of the routing YAML for editors: JSON Schema draft-07, made from the models that read it."""

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from relay.config.lengths import written
from relay.config.schema import Config, Section

DRAFT = "http://json-schema.org/draft-07/schema#"
_SCALARS = ("string", "number", "boolean", "null")
"""Every scalar is text to the relay, and nothing at all is the empty text."""
_REQUIRED = {
    "Config": ["route", "receivers"],
    "Receiver": ["name"],
    "NamedInterval": ["name"],
    "Source": ["name"],
    "Heartbeat": ["name", "matchers", "within", "receiver"],
}
_EITHER = {"PagerDuty": ("routing_key", "routing_key_file")}
_NOISE = frozenset({"title", "x-kind", "default", "discriminator"})
_NULL = {"type": "null"}
_NONE: dict[str, Any] = {"not": {}}
"""What a form that is refused takes."""


class _Writer(GenerateJsonSchema):
    """Pydantic's writer, which gives up on defaults that are whole sections: those are described by themselves."""

    def encode_default(self, dft: Any) -> Any:
        return dft if isinstance(dft, str | int | float) else None


def json_schema() -> dict[str, Any]:
    """Return the schema; what it refuses does not load, though not all that it takes does."""
    made = Config.model_json_schema(by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Writer)
    named = {**made.pop("$defs"), "Config": made}
    models = {model.__name__: model for model in _models(Section)}
    definitions = {name: _section(name, _mended(said), models[name]) for name, said in named.items()}
    root = definitions.pop("Config")
    return {
        "$schema": DRAFT,
        "title": "Pagerelay's routing file",
        **root,
        "type": "object",
        "definitions": dict(sorted(definitions.items())),
    }


def _models(above: type[Section]) -> Iterator[type[Section]]:
    for model in above.__subclasses__():
        yield model
        yield from _models(model)


def _section(name: str, said: dict[str, Any], model: type[Section]) -> dict[str, Any]:
    """Say of a mapping that it may be left empty, what may stand in it unread, and what must be there."""
    said["type"] = ["object", "null"]
    said["properties"] = {
        **{field: _property(one) for field, one in said.get("properties", {}).items()},
        **{field: {"description": "Not used by the relay."} for field in sorted(model.TOLERATED)},
    }
    if name in _REQUIRED:
        said["required"] = _REQUIRED[name]
    if name in _EITHER:
        said["anyOf"] = [{"required": [field]} for field in _EITHER[name]]
    return said


def _property(said: dict[str, Any]) -> dict[str, Any]:
    """Let a field stand without a value, which is as if it were not there."""
    if "enum" in said:
        said["enum"] = [*said["enum"], *([] if None in said["enum"] else [None])]
        said.pop("type", None)
    elif isinstance(said.get("type"), str):
        said["type"] = [said["type"], "null"]
    elif "anyOf" in said and _NULL not in said["anyOf"] and not any("$ref" in one for one in said["anyOf"]):
        said["anyOf"].append(_NULL)
    return said


def _mended(said: Any) -> Any:
    """Bring what pydantic says into what the reader takes, and into draft-07."""
    if isinstance(said, list):
        return [_mended(one) for one in said]
    if not isinstance(said, dict):
        return said
    default = _default(said)
    mended: dict[str, Any] = {}
    for name, one in said.items():
        if name in ("oneOf", "anyOf"):
            mended |= _choice([_mended(choice) for choice in one])
        elif name == "properties":
            mended[name] = {field: _mended(value) for field, value in one.items()}
        elif name not in _NOISE:
            mended[name] = _mended(one)
    if mended.get("type") == "string" and not {"enum", "const", "pattern"} & mended.keys():
        mended["type"] = list(_SCALARS)
    return mended if default is None else {**mended, "default": default}


def _choice(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Write choices as flat as they can be: editors show them one by one."""
    flat: list[dict[str, Any]] = []
    for choice in choices:
        if choice != _NONE:
            flat += choice.get("anyOf", [choice])
    if any("$ref" in choice or "null" in choice.get("type", ()) for choice in flat if choice != _NULL):
        flat = [choice for choice in flat if choice != _NULL]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _default(said: dict[str, Any]) -> Any:
    """Write the default of a field as a person would; None where it says nothing."""
    default = said.get("default")
    if not default or isinstance(default, dict | list):
        return default if default is False else None
    return written(default) if _is_duration(said) else default


def _is_duration(said: dict[str, Any]) -> bool:
    return said.get("x-kind") == "duration" or any(map(_is_duration, said.get("anyOf", ())))
