"""Another model in the place of the one that serves, between two frames.

Two ways lead here: the service ``~/reload_model`` reads the file of the parameter ``model`` again,
and setting that parameter names another file. The new model is loaded and warmed up on a thread of
its own while the old one goes on; only when it is ready does it take over. What goes wrong before
that changes nothing.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger

from uaafusion_ros.node.snapshot import Reloads

if TYPE_CHECKING:
    from uaafusion_ros.inference.pipeline import FusionPipeline

RELOAD_SERVICE = "~/reload_model"


@dataclass(eq=False)
class _Wish:
    """A model that somebody asks for: the parameter's value, and who awaits an answer."""

    model: str
    answer: Future | None = None

    def reply(self, success: bool, message: str) -> None:
        if self.answer is not None:
            self.answer.set_result((success, message))


class ModelSwap:
    """Loads one model at a time and has it take over. All methods belong to the executor thread.

    While a model is being loaded, `~/reload_model` is refused, and another value of the parameter
    takes the place of the wish before it: of an operator's values the last one counts.

    Args:
        load: returns the model of a parameter value, warmed up; called on the loading thread.
        install: has a loaded model serve, and calls its second argument when it does; raises
            ValueError, and changes nothing, if the model cannot do what the settings ask for.
    """

    def __init__(
        self,
        node: Node,
        load: Callable[[str], FusionPipeline],
        install: Callable[[FusionPipeline, Callable[[], None]], None],
    ) -> None:
        self._node = node
        self._load = load
        self._install = install
        self._serving: str | None = None
        self._wish: _Wish | None = None
        self._thread: threading.Thread | None = None
        self._compute_threads = 1
        self._count = 0
        self._failure = ""
        # A group of its own: others would not be served while an answer is awaited.
        node.create_service(
            Trigger, RELOAD_SERVICE, self._on_reload, callback_group=ReentrantCallbackGroup()
        )

    def serve(self, model: str) -> None:
        """The parameter value ``model`` was loaded by a transition."""
        import torch

        self._serving = model
        self._failure = ""
        self._compute_threads = torch.get_num_threads()

    def release(self) -> None:
        """No model serves any more: what is being loaded will be dropped."""
        self._serving = None
        self._abandon("the node has released its model meanwhile")

    def close(self, timeout: float) -> bool:
        """Whether the loading thread ends within ``timeout`` seconds, or there is none."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def objection(self, model: str) -> str:
        """Why the parameter cannot become ``model``; empty if it can, as far as is known at once.

        Without a model that serves, any value is stored for the next configure transition.
        """
        if self._serving is None or model in (self._serving, self._wish and self._wish.model):
            return ""
        from uaafusion_ros.inference.opening import check_model
        from uaafusion_ros.network.checkpoint import CheckpointError

        try:
            check_model(model)
        except CheckpointError as error:
            return str(error)
        return ""

    def follow(self, model: str) -> None:
        """The parameter has become ``model``, or has stayed so."""
        if self._serving is None or (self._wish is not None and self._wish.model == model):
            return
        self._abandon(f"parameter model was set to {model!r} meanwhile")
        if model != self._serving:
            self._begin(_Wish(model))

    def reloads(self) -> Reloads:
        """For diagnostics."""
        return Reloads(
            count=self._count,
            loading=_shown(self._wish.model) if self._wish is not None else "",
            failure=self._failure,
        )

    def post(self, function: Callable[[], None]) -> None:
        """Has ``function`` called on the executor thread; from any thread."""
        executor = self._node.executor
        if executor is not None:
            executor.create_task(function)

    async def _on_reload(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success, response.message = False, self._reload_objection()
        if self._serving is not None and not response.message:
            answer = Future()
            self._begin(_Wish(self._serving, answer))
            response.success, response.message = await answer
        return response

    def _reload_objection(self) -> str:
        if self._serving is None:
            return "there is no model to replace; configure the node, which reads the file"
        if self._wish is not None:
            return f"{_shown(self._wish.model)} is being loaded; ask again when that has ended"
        return ""

    def _begin(self, wish: _Wish) -> None:
        self._wish = wish
        # A thread that loads what nobody wants any more cannot be interrupted; the wish waits for
        # it, so that there are never more than two models in memory.
        if self._thread is None:
            self._start(wish)

    def _start(self, wish: _Wish) -> None:
        self._node.get_logger().info(f"loading {_shown(wish.model)} beside the model that serves")
        self._thread = threading.Thread(
            target=self._run, args=(wish,), name="model loading", daemon=True
        )
        self._thread.start()

    def _abandon(self, reason: str) -> None:
        wish, self._wish = self._wish, None
        if wish is not None:
            wish.reply(False, f"{_shown(wish.model)} was not put into service: {reason}")

    def _run(self, wish: _Wish) -> None:
        """The loading thread."""
        import torch

        # PyTorch gives a new thread the number that was set last in any thread, and attribution
        # sets it to one for moments.
        torch.set_num_threads(self._compute_threads)
        outcome: FusionPipeline | str
        try:
            outcome = self._load(wish.model)
        except (OSError, ValueError) as error:
            outcome = str(error)
        except Exception as error:
            self._node.get_logger().error(traceback.format_exc())
            outcome = f"{type(error).__name__}: {error}"
        self.post(partial(self._finish, wish, outcome))

    def _finish(self, wish: _Wish, outcome: FusionPipeline | str) -> None:
        self._thread = None
        if wish is not self._wish:
            if self._wish is not None:
                self._start(self._wish)
            return
        self._wish = None
        if isinstance(outcome, str):
            self._report_failure(wish, outcome)
            return
        try:
            self._install(outcome, partial(self._report_success, wish, _account(outcome)))
        except ValueError as error:  # settings that have changed meanwhile
            self._report_failure(wish, str(error))
            return
        self._serving = wish.model

    def _report_success(self, wish: _Wish, account: str) -> None:
        self._count += 1
        self._failure = ""
        self._node.get_logger().info(f"{account} has taken over")
        wish.reply(True, account)

    def _report_failure(self, wish: _Wish, reason: str) -> None:
        self._failure = f"{_shown(wish.model)} was not put into service: {reason}"
        self._node.get_logger().error(self._failure)
        wish.reply(False, reason)
        if wish.answer is None:
            self._node.set_parameters([Parameter("model", value=self._serving)])


def _shown(model: str) -> str:
    from uaafusion_ros.inference.models import DEFAULT_MODEL

    return model or DEFAULT_MODEL


def _account(pipeline: FusionPipeline) -> str:
    """What was loaded: name, version, file and classes."""
    name = " ".join(filter(None, (pipeline.model_name or "a model", pipeline.model_version)))
    file = pipeline.model_file
    source = f" from {file.path} (sha256 {file.sha256[:12]})" if file else ""
    return f"{name}{source}, {len(pipeline.classes)} classes: {', '.join(pipeline.classes)}"
