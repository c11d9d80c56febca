"""The wire format: what a request holds, checked, and what an answer is. Every part is documented in OpenAPI from here.

In: JSON, or the parts of a form. Out: pydantic's models; or a `Problem` that names the first part that does not fit. Next:
`kshot.web.routes`.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from kshot.value_types import shortened
from kshot.web.limits import Limits
from kshot.web.problems import Problem, wrong

MOST_NAME = 200
"""Characters of the name of a class or a tenant."""
_SHOULD = "Input should be "  # how pydantic begins to say what was expected
Body = TypeVar("Body", bound=BaseModel)


def _clean(name: str) -> str:
    if not name.strip() or any(unicodedata.category(one) in ("Cc", "Cs") for one in name):
        raise ValueError("a name that is not blank and has no control characters")
    return name


ClassName = Annotated[str, Field(min_length=1, max_length=MOST_NAME), AfterValidator(_clean)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Example(_Strict):
    """A picture, a text, or numbers: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    image: str | bytes | None = Field(
        None,
        description="The file of a picture (PNG, JPEG, WebP …) in base64.",
        json_schema_extra={"anyOf": [{"type": "string", "contentEncoding": "base64"}]},
    )
    text: str | None = Field(None, description="A text.")
    numbers: list[float] | dict[str, float | str | None] | None = Field(
        None, description="A row of numbers; or values by the names of their columns, null where one is missing."
    )

    @model_validator(mode="after")
    def _one(self) -> "Example":
        if sum(value is not None for value in (self.image, self.text, self.numbers)) != 1:
            raise ValueError('exactly one of "image", "text" and "numbers"')
        return self


class ClassBody(_Strict):
    """A class: its examples, its descriptions, or both."""

    examples: list[Example] = Field(default_factory=list)
    descriptions: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, description="Sentences that describe it.")


def _class(value: object) -> object:
    return {"examples": value} if isinstance(value, list) else value


_CLASS_SCHEMA = {
    "anyOf": [{"type": "array", "items": {"$ref": "#/components/schemas/Example"}}, {"$ref": "#/components/schemas/ClassBody"}]
}
GivenClass = Annotated[ClassBody, BeforeValidator(_class), WithJsonSchema(_CLASS_SCHEMA)]


class NewTask(_Strict):
    """What a task is made from."""

    learner: str | None = Field(None, description="The name of a saved learner, as GET /v1/learners lists it; or")
    encoder: str | None = Field(None, description="the name of a frozen encoder, on which a head is chosen; or")
    model: str | None = Field(None, description="the name of a fitted model that the server was started with.")
    classes: dict[ClassName, GivenClass] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "NewTask":
        if sum(value is not None for value in (self.learner, self.encoder, self.model)) != 1:
            raise ValueError('exactly one of "learner", "encoder" and "model"')
        return self


class MoreExamples(_Strict):
    """Examples of a class that the task has, or of a new one."""

    name: ClassName = Field(alias="class")
    examples: list[Example] = Field(default_factory=list)
    descriptions: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)


class Question(_Strict):
    """What is asked of a task."""

    inputs: list[Example] = Field(min_length=1)
    coverage: Share | None = Field(None, description="How often a set holds the right class. Default: 0.9, where the task can promise it.")
    unknown: Share | None = Field(None, description="Share of things of known classes that may be called unknown. Default: 0.05.")
    probabilities: bool = Field(False, description="Whether to answer the probability of every class.")


class Unlabelled(_Strict):
    """Things of which some are to be labelled."""

    inputs: list[Example] = Field(min_length=1)
    count: int = Field(10, ge=1, le=1000, description="How many to suggest.")


def parsed(kind: type[Body], body: bytes) -> Body:
    """Return a body of JSON, checked.

    Raises:
        Problem: It is no JSON, or a part of it does not fit.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise misfit_of(error) from None


def made(kind: type[Body], value: Mapping[str, Any]) -> Body:
    """Return a body from the parts of a form, checked as `parsed`."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise misfit_of(error) from None


def misfit_of(error: ValidationError) -> Problem:
    """Return the problem that the first fault of a body is."""
    first = error.errors(include_url=False)[0]
    field = place_of(first["loc"]) or "body"
    found = shortened(first["input"]) if first["type"] not in ("missing", "json_invalid") else "nothing"
    context = first.get("ctx", {})
    match first["type"]:
        case "json_invalid":
            return Problem(
                400,
                f"the body is no JSON: {context.get('error', '')}.",
                field="body",
                expected="JSON in UTF-8",
                found=str(context.get("error", "")),
            )
        case "missing":
            return wrong(field, "given", "nothing")
        case "extra_forbidden":
            return wrong(field, "left out: it has no meaning here", found)
        case "value_error":
            return wrong(field, str(context.get("error", first["msg"])), found)
        case _:
            told = str(first["msg"])
            if told.startswith(_SHOULD):
                return wrong(field, told.removeprefix(_SHOULD), found)
            return Problem(422, f"{field}: {told[:1].lower()}{told[1:]}; found {found}.", field=field, expected=told, found=found)


def place_of(location: Sequence[str | int]) -> str:
    """Write the place of a part of a body: `classes.a[0].image`."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part not in ("[key]",) and not part.startswith(("list[", "dict[", "function-", "str", "bytes")):
            place += f".{part}" if place else part
    return place[:300]


def check_counts(task: NewTask | MoreExamples, limits: Limits) -> None:
    """Refuse more examples, classes or descriptions than a task may have.

    Raises:
        Problem: There are more.
    """
    classes = task.classes if isinstance(task, NewTask) else {task.name: task}
    if len(classes) > limits.classes:
        raise wrong("classes", f"at most {limits.classes:,} classes", f"{len(classes):,}")
    if (count := sum(len(one.examples) for one in classes.values())) > limits.examples:
        raise wrong("examples", f"at most {limits.examples:,} examples per task", f"{count:,}")
    for name, one in classes.items():
        if len(one.descriptions) > limits.descriptions:
            raise wrong(f"classes.{name}.descriptions", f"at most {limits.descriptions} sentences", f"{len(one.descriptions):,}")
        for sentence in one.descriptions:
            if len(sentence) > limits.text_characters:
                raise wrong(
                    f"classes.{name}.descriptions", f"sentences of at most {limits.text_characters:,} characters", f"{len(sentence):,}"
                )
