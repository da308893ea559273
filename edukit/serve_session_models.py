"""What the session service is asked and what it answers, as the OpenAPI page tells it; nothing that is not listed here is taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from edukit.formats.xapi_answer import LABEL

MOST_STATEMENTS = 100  # in one request
Label = Annotated[str, Field(pattern=f"^{LABEL.pattern}$".replace(r"\w", "A-Za-z0-9_"))]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Asked(BaseModel):
    """What is sent: no field that is not known, no text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Start(Asked):
    """Begin, or go on with, the session of a learner."""

    learner_id: str = Field(min_length=1, max_length=200, description="who learns; a pseudonym is made of it at once, and it is not kept")


class Given(Asked):
    """An answer to the step that was handed out."""

    answer_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] = Field(description="made by who sends it, once for each answer: sent again with "
                                                                                             "the same content, it is answered alike and counted once")
    step: int = Field(ge=0, le=2_000_000_000, description="the `step` that `next` handed out")
    item_id: str = Field(min_length=1, max_length=300, description="the `item_id` that `next` handed out")
    correct: Share = Field(description="the mark: 1 is right, 0 wrong")
    response: Label | None = Field(None, description="the chosen option, as a short label; never what a learner wrote")
    response_time_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = Field(None, description="seconds to the answer")


class Listed(Asked):
    """Which statements are wanted."""

    model_config = ConfigDict(extra="forbid", strict=False)

    session_id: str | None = Field(None, max_length=100, description="of one session; of all where it is left out")
    after: int = Field(0, ge=0, le=9_000_000_000_000_000_000, description="what `more` names, to go on")
    limit: int = Field(100, ge=1, le=500)


class Statements(RootModel[dict[str, Any] | list[dict[str, Any]]]):
    """A statement, or a list of them."""


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"]


class Next(BaseModel):
    """What a learner is asked to do next, and why."""

    step: int = Field(description="answers before this one")
    concept_id: str
    name: str = Field(description="what the concept is called")
    item_id: str | None = Field(description="the question; null where none fits and the concept has to be learnt by other means")
    reason: str = Field(description="why, in words the learner can check")
    readiness: float = Field(description="P(what the concept requires is known)")
    mastery: float = Field(description="P(the concept is known), estimated")


class Started(BaseModel):
    """A session, begun or gone on with."""

    session_id: str
    resumed: bool = Field(description="whether the learner was known")
    next: Next


class Accepted(BaseModel):
    """An answer that is on the disk."""

    session_id: str
    answer_id: str
    step: int
    item_id: str
    correct: float
    answered_at: str


class Concept(BaseModel):
    """Where a learner stands on a concept."""

    concept_id: str
    name: str
    n: int = Field(description="answers on it")
    state: Literal["mastered", "learning", "not enough data"]
    mastery: float | None = Field(description="P(known); null below 3 answers")
    low: float | None = Field(description="lower end of the middle 80 % over 20 plausible settings of the estimate")
    high: float | None


class Reach(BaseModel):
    """A concept that could come next."""

    concept_id: str
    name: str
    readiness: float
    n: int


class Profile(BaseModel):
    """Where a learner stands."""

    session_id: str
    n_answers: int
    concepts: list[Concept]
    n_in_reach: int
    in_reach: list[Reach] = Field(description="the readiest of them, 20 at most")


class Log(BaseModel):
    """Answers as xAPI statements."""

    statements: list[dict[str, Any]]
    more: str = Field(description="where to go on; empty at the end")


class Fault(BaseModel):
    """Why a request is refused, and what to do."""

    error: str = Field(description="the whole sentence")
    place: str
    wanted: str
    found: str
    next_step: str
