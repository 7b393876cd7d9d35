"""Understands sentences that the grammar does not, says what it understood, sees a plan through.

The grammar of `olympus.runtime.agents` stays the first and certain path: what it knows never comes
here. A stop needs no planner, and when somebody stops or redirects the rover the plan is over.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from olympus.models import llama_native
from olympus.models.planner.plan import spoken
from olympus.models.planner.planner import SURE, Planner, Understood
from olympus.models.planner.texts import RoutedWriter
from olympus.models.planner.words import SOUNDS, THINGS, Vocabulary
from olympus.models.registry import Registry
from olympus.models.router import REMOTE, Router, RouterRules, TaskRules
from olympus.nodes.errand import Ended, Errand
from olympus.runtime.errors import BusError, ConfigError, ModelError, ParamError
from olympus.runtime.messages import Ack, Command, MissionState, Percept, Sentence
from olympus.runtime.node import Field, Node, NodeParams, output, service, subscribe, timer
from olympus.runtime.qos import QoS, Tier

YES = frozenset(
    ("yes", "yes please", "yes do it", "do it", "ok", "okay", "right", "correct", "sure")
)
TASK = "plan"
NO = frozenset(("no", "no thanks", "cancel", "never mind", "wrong"))
_TOLD = 8
_OVERTAKEN = (
    "but meanwhile motion was stopped, or something else was said; say it again if it still holds"
)


class PlannerNode(Node):
    """Makes a plan of a sentence, asks back in doubt, and hands its steps to the navigator."""

    class Params(NodeParams):
        """What the site is called, and how sure to be."""

        router: RouterRules = Field(
            RouterRules(tasks={TASK: TaskRules.model_validate({"candidates": ["planner"]})}),
            description="Which models serve the task 'plan', the best first, and their budget.",
        )
        places: list[str] = Field(default=[], description="Names of places, as the navigator's.")
        things: list[str] = Field(
            default=sorted(THINGS), description="Labels that the detector reports."
        )
        sounds: list[str] = Field(
            default=sorted(SOUNDS), description="Labels that the listener reports."
        )
        sure: float = Field(
            0.0, ge=0, le=1, description="Ask back below these odds; 0: the model's own figure."
        )
        navigator: str = Field("navigator", description="Node that carries out commands.")
        answer_s: float = Field(
            30.0, gt=0, le=600, description="How long a 'yes' to what it asked back counts."
        )

        def before_start(self) -> list[str]:
            """Find the models, where llama.cpp is there to run them.

            Returns:
                Candidates that are missing while another is there.

            Raises:
                ConfigError: No task is called 'plan', or a candidate is far away.
                ModelError: None of the candidates is there.
            """
            names = self.candidates()
            missing = [] if llama_native.missing() else Registry().missing(names)
            if len(missing) == len(names):
                raise ModelError("; ".join(missing))
            return missing

        def candidates(self) -> tuple[str, ...]:
            """Return the models that may make plans, the best first.

            Raises:
                ConfigError: No task is called 'plan', or a candidate is far away.
            """
            if TASK not in self.router.tasks:
                raise ConfigError(f"router.tasks has no {TASK!r}; name its candidates there")
            names = self.router.tasks[TASK].candidates
            if far := [name for name in names if name.startswith(REMOTE)]:
                raise ConfigError(
                    f"{far[0]} can't be held to the names and numbers of a sentence, as this "
                    "planner must; name models of this machine"
                )
            return names

    params: Params
    _router: Router | None = None
    plan = output("plan", Sentence, latched=True)
    said = output("said", Command, is_reliable=True)

    @classmethod
    def models_kept(cls, params: Params) -> tuple[str, ...]:
        """Keep all candidates."""
        return params.router.local_models

    async def on_configure(self) -> None:
        """Load a model; without llama.cpp say so once and understand nothing.

        Raises:
            ConfigError: There is no task 'plan', or a candidate is far away.
            ModelError: No candidate can be loaded.
        """
        self._missing = llama_native.missing()
        self._errand: Errand | None = None
        self._state: MissionState | None = None
        self._asked: Understood | None = None
        self._asked_ns = 0
        self._turned = 0
        """How often somebody else gave a command, or motion was stopped."""
        self._thinks_of = ""
        self._told: deque[str] = deque(maxlen=_TOLD)
        """What the navigator was told from here, which comes back as something said."""
        if self._missing:
            self.log.warning(f"no planner: {self._missing}")
            return
        self._candidates = self.params.candidates()
        router = self._new_router()
        self._own_sure = self._first_sure(router)
        self._router, self._planner = router, self._new_planner(router)

    async def on_cleanup(self) -> None:
        """Let the models go."""
        if self._router is not None:
            self._router.close()
            self._router = None

    def on_params(self, changed: set[str]) -> None:
        """Know the site by other names, or be sure at other odds, from the next sentence on.

        Raises:
            ParamError: The models are to be others.
        """
        if self._router is None:
            return
        if "router" in changed:
            raise ParamError(
                f"{self.name}.router: can't change while its models are loaded; set it in the "
                "launch file, or clean the node up and configure it anew"
            )
        if changed & {"places", "things", "sounds", "sure"}:
            self._planner = self._new_planner(self._router)

    async def on_deactivate(self) -> None:
        """Forget the plan; nothing goes on by itself."""
        self._errand = self._asked = None

    @subscribe("mission")
    def on_mission(self, state: MissionState) -> None:
        """Remember what the navigator is doing."""
        if state.state == "stopped":
            self._turn()
        self._state = state

    @subscribe("command", qos=QoS.queue(10))
    def on_command(self, command: Command) -> None:
        """Notice that somebody wants something else."""
        self._notice(command)

    @subscribe("said", qos=QoS.queue(10), is_optional=True)
    def on_said(self, command: Command) -> None:
        """Notice that somebody wants something else."""
        self._notice(command)

    def _notice(self, command: Command) -> None:
        if command.verb == "stop":  # whoever says so
            self._turn()
        elif command.text in self._told:
            self._told.remove(command.text)
        elif (
            command.text != self._thinks_of
        ):  # the navigator was asked first, and had no such place
            self._turned += 1

    @subscribe("percepts", qos=QoS.queue(50))
    def on_percept(self, percept: Percept) -> None:
        """Look whether this is what a step waits for."""
        if self._errand is not None:
            self._errand.notice(percept)

    def _turn(self) -> None:
        """After a stop no plan begins that was thought of before, nor one that was asked about."""
        self._turned += 1
        self._asked = None

    @service("understand")
    async def on_sentence(self, sentence: Sentence) -> Ack:
        """Understand a sentence, and do what it says or ask back."""
        self.said.publish(Command(text=sentence.text, verb=""))
        word = " ".join(sentence.text.lower().replace(",", " ").split()).strip(" .!")
        if word in YES or word in NO:
            return await self._answered(is_yes=word in YES)
        self._asked, self._thinks_of = None, sentence.text
        if self._missing:
            return Ack(ok=False, text=f"{sentence.text!r:.100} is not understood: {self._missing}")
        turned = self._turned
        try:
            thinking = self._planner.begin(sentence.text)
            found = await self.compute(thinking, tier=Tier.LOW, what=self._candidates[0])
        except ModelError as error:
            self.log.error(str(error))
            return Ack(ok=False, text=f"{sentence.text!r:.100} is not understood: {error}")
        self.log.info(found.text, sentence=sentence.text, sure=round(found.sure, 3))
        if not found.plan:
            return Ack(ok=False, text=found.text)
        if self._turned != turned or self._thinks_of != sentence.text:
            return Ack(ok=False, text=f"{found.text}; {_OVERTAKEN}")
        if found.doubt:
            self._asked, self._asked_ns = found, self.clock.now_ns()
            return Ack(ok=False, text=f"{found.text}; say 'yes' if so")
        return await self._begin(found)

    @timer(0.2)
    async def on_tick(self) -> None:
        """Go on with the plan."""
        errand = self._errand
        if errand is None:
            return
        verdict = errand.look(self._state, self.clock.now_ns())
        if isinstance(verdict, Ended):
            self._end(verdict.text)
        elif verdict:
            await self._next(errand)

    async def _answered(self, *, is_yes: bool) -> Ack:
        asked, self._asked = self._asked, None
        since_ns = self.clock.now_ns() - self._asked_ns
        if asked is None or since_ns > self.params.answer_s * 1e9:
            return Ack(ok=False, text="there was no question; say what to do")
        if not is_yes:
            return Ack(ok=True, text="good that I asked; say it in other words")
        return await self._begin(asked)

    async def _begin(self, found: Understood) -> Ack:
        errand = self._errand = Errand(found.plan)
        refused = await self._next(errand)
        if refused is not None:
            return Ack(ok=False, text=f"understood: {spoken(found.plan)}; but {refused}")
        return Ack(ok=True, text=f"understood: {spoken(found.plan)}")

    async def _next(self, errand: Errand) -> str | None:
        """Tell the navigator the next step; return why it refused."""
        if errand.step.until is not None:
            await self._tell(Command(text="stop", verb="stop"))
        command = errand.advance(self._state, self.clock.now_ns())
        if command is None:
            self._end("the plan is done")
            return None
        refusal = await self._tell(command)
        if refusal is not None:
            self._end(f"{command.text}: {refusal}")
        elif self._errand is errand:
            self.plan.publish(Sentence(text=command.text))
        return refusal

    async def _tell(self, command: Command) -> str | None:
        prefix = self.name.rpartition("/")[0]
        name = f"{prefix}/{self.params.navigator}" if prefix else self.params.navigator
        self._told.append(command.text)
        try:
            answer = await self.call(f"{name}/say", command, Ack)
        except BusError as error:
            return str(error)
        return None if answer.ok else answer.text

    def _end(self, text: str) -> None:
        self._errand = None
        self.plan.publish(Sentence(text=""))
        self.log.info(text)

    def _new_router(self) -> Router:
        rules, cache = self.params.router, None
        if rules.cache_ttl_s and self.session is not None:
            cache = Path(self.session.run_dir / f"{self.name.replace('/', '.')}.answers")
        return Router(rules, cache=cache, now_ns=self.clock.now_ns)

    def _new_planner(self, router: Router) -> Planner:
        sure = self.params.sure or self._own_sure
        return Planner(RoutedWriter(router, TASK, self.name), self._vocabulary(), sure=sure)

    def _first_sure(self, router: Router) -> float:
        """Load candidates until one can be, and return the odds that its manifest wants.

        Raises:
            ModelError: None can be loaded.
        """
        failed: list[str] = []
        for name in self._candidates:
            try:
                router.ready(name)
            except ModelError as error:
                failed.append(str(error))
                self.log.error(str(error))
            else:
                return Registry().find(name).manifest.option("sure", SURE)
        raise ModelError("; ".join(failed))

    def _vocabulary(self) -> Vocabulary:
        p = self.params
        return Vocabulary(
            places=dict.fromkeys(p.places, ()),
            things={name: THINGS.get(name, ()) for name in p.things},
            sounds={name: SOUNDS.get(name, ()) for name in p.sounds},
        )
