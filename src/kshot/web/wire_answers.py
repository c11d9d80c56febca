"""The wire format of answers, as OpenAPI documents it. In: nothing. Out: pydantic's models. Next: `kshot.web.openapi`."""

from typing import Literal

from pydantic import BaseModel, Field


class Prediction(BaseModel):
    """The answer for one input."""

    label: str
    probability: float
    second: str
    unknown: bool
    set: list[str] | None = Field(description="The classes that hold the right one at the coverage; null where the task cannot promise it.")
    probabilities: dict[str, float] | None = None


class Predictions(BaseModel):
    """The answers, in the order of the inputs."""

    predictions: list[Prediction]
    version: int
    notes: list[str] = Field(default_factory=list)


class ExampleId(BaseModel):
    """An example of a task."""

    id: str


class ClassAnswer(BaseModel):
    """A class of a task."""

    examples: list[ExampleId]
    descriptions: list[str]


class TaskSummary(BaseModel):
    """A task, without its examples."""

    id: str
    version: int
    learner: str | None = None
    encoder: str | None = None
    classes: dict[str, int] = Field(description="How many examples each class has.")
    created: str
    changed: str
    notes: list[str] = Field(default_factory=list)


class TaskAnswer(BaseModel):
    """A task with the ids of its examples."""

    id: str
    version: int
    learner: str | None = None
    encoder: str | None = None
    reads: Literal["photographs", "texts", "numbers", "ink"]
    classes: dict[str, ClassAnswer]
    created: str
    changed: str
    estimate: str | None = Field(None, description="How often the task will be right, from left-out examples.")
    notes: list[str] = Field(default_factory=list)


class TaskPage(BaseModel):
    """Some tasks, the newest first."""

    tasks: list[TaskSummary]
    next: str | None = Field(description="What to give as `after` for the next page; null at the end.")


class Source(BaseModel):
    """What tasks can be made with."""

    name: str
    kind: Literal["learner", "encoder", "model"]
    reads: str | None
    loaded: bool


class Sources(BaseModel):
    """All that tasks can be made with."""

    learners: list[Source]


class Suggestion(BaseModel):
    """An input whose label would help."""

    input: int = Field(description="Its place among the inputs, from 0.")
    gain: float
    label: str
    probability: float


class Suggestions(BaseModel):
    """What to label next, the most helpful first."""

    suggestions: list[Suggestion]
    version: int


class ProblemAnswer(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    expected: str | None = None
    found: str | None = None
