"""`uaafusion`: infrared and visible topics in; fused image, mask and attribution out.

The flow of one frame: two subscriptions, pairing by stamp, a one-slot mailbox, and a worker thread
that decodes, fuses and publishes with the visible frame's stamp and frame_id.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from uaafusion_ros.inference.threads import in_a_passing_thread
from uaafusion_ros.node.accounting import STREAMS, Accounting
from uaafusion_ros.node.declarations import (
    ParameterError,
    declare_parameters,
    unknown_overrides,
)
from uaafusion_ros.node.diagnostics_message import DiagnosticsReporter
from uaafusion_ros.node.fusion_parameters import DECLARATIONS
from uaafusion_ros.node.inputs import Inputs
from uaafusion_ros.node.model_swap import ModelSwap
from uaafusion_ros.node.parameters import NodeSettings, read_settings, refusal
from uaafusion_ros.node.snapshot import Misses, Snapshot
from uaafusion_ros.node.throttling import ThrottledWarnings

if TYPE_CHECKING:
    from uaafusion_ros.inference.pipeline import FusionPipeline
    from uaafusion_ros.node.publishers import Publishers
    from uaafusion_ros.node.worker import FusionWorker

WARM_UP_SIZE = (256, 320)
"""Rows and columns of the frame that warms the first model up, before the cameras' size is known;
small, so that slow models start too."""


class FusionNode(LifecycleNode):
    """The lifecycle node. Transitions run on the executor thread, frames on the worker's.

    configure loads the model, activate subscribes and publishes, deactivate stops the frames,
    cleanup and shutdown release the model with its GPU memory. In between, `ModelSwap` replaces it.

    Raises:
        ParameterError: an override cannot be used.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("uaafusion", **kwargs)
        declare_parameters(self, DECLARATIONS)
        self._settings = read_settings(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._warn = ThrottledWarnings(lambda text: self.get_logger().warning(text))
        self._accounting = Accounting()
        self._state = "unconfigured"
        self._failure = ""
        self._active_since = 0.0
        self._pipeline: FusionPipeline | None = None
        self._outputs: Publishers | None = None
        self._worker: FusionWorker | None = None
        self._inputs: Inputs | None = None
        self._swap = ModelSwap(self, self._load_model, self._install)
        self._reported: set[str] = set()
        self._report_unknown_parameters(with_qos=False)
        # The steady clock goes on where simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        reporter = DiagnosticsReporter(self)
        self.create_timer(
            self.get_parameter("diagnostics_period").value,
            lambda: reporter.report(self._snapshot()),
            clock=self._steady,
        )
        if self.get_parameter("autostart").value:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self._steady)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model, warms it up and puts the outputs on the graph."""
        return self._transition("configure", self._configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and starts the worker."""
        return self._transition("activate", self._activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribes, finishes the frame in work and logs the account."""
        return self._transition("deactivate", self._deactivate, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Releases the model."""
        return self._transition("cleanup", self._release, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends whatever is going on."""
        return self._transition("shutdown", self._release, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Releases everything, so that the node can be configured again."""
        return self._transition("error", self._release, super().on_error, state)

    def close(self, timeout: float) -> bool:
        """Shuts down; returns whether frame and model in work ended within ``timeout`` each."""
        ended = self._stop_frames(timeout) and self._swap.close(timeout)
        if ended and self._state != "finalized":
            self.trigger_shutdown()
        return ended

    def _transition(
        self,
        name: str,
        act: Callable[[], None],
        entities: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        """Runs a transition; rclpy would turn an exception into ERROR without a word."""
        target = {
            "configure": "inactive",
            "activate": "active",
            "deactivate": "inactive",
            "shutdown": "finalized",
        }.get(name, "unconfigured")
        try:
            act()
            result = entities(state)
            if result != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError("a publisher refused the transition")
            if name != "error":
                self._failure = ""
            self._state = target
            self._after(name)
            return TransitionCallbackReturn.SUCCESS
        except Exception as error:
            expected = isinstance(error, (OSError, ValueError))
            details = "" if expected else f"\n{traceback.format_exc()}"
            self._failure = f"{name} failed: {error}"
            self.get_logger().error(self._failure + details)
            if name not in ("configure", "activate"):
                return TransitionCallbackReturn.ERROR
            self._undo(name)
            return TransitionCallbackReturn.FAILURE

    def _configure(self) -> None:
        self.get_logger().info("loading the model")
        # PyTorch takes seconds to import: without it the node is on the graph at once.
        from uaafusion_ros.node.publishers import Publishers

        self._pipeline = in_a_passing_thread(partial(self._load_model, self._settings.model))
        self._outputs = Publishers(self, self._pipeline.classes, self._pipeline.palette)
        self._swap.serve(self._settings.model)

    def _load_model(self, model: str) -> FusionPipeline:
        """The warmed-up model of a value of the parameter; called on any thread."""
        from uaafusion_ros.inference.opening import check_model
        from uaafusion_ros.inference.pipeline import FusionPipeline

        settings, serving = self._settings, self._pipeline
        check_model(model)  # it remembers the shapes, and so is quick for a retrained successor
        pipeline = FusionPipeline.from_file(
            model,
            device=settings.device,
            precision=settings.precision,
            settings=settings.frame.pipeline,
            providers=settings.providers,
            compile_size=settings.compile_size,
        )
        if pipeline.notice:
            self.get_logger().warning(pipeline.notice)
        size = serving.frame_size if serving is not None else None
        pipeline.warm_up(*(size or settings.compile_size or WARM_UP_SIZE))
        return pipeline

    def _install(self, pipeline: FusionPipeline, done: Callable[[], None]) -> None:
        """Has another model serve, and ``done`` called on the executor thread when it does."""
        pipeline.with_settings(self._settings.frame.pipeline)
        self._pipeline = pipeline
        if self._worker is not None:
            self._worker.replace(pipeline, partial(self._swap.post, done))
            return
        if self._outputs is not None:
            self._outputs.describe(pipeline.classes, pipeline.palette)
        done()

    def _activate(self) -> None:
        from uaafusion_ros.node.worker import FusionWorker

        if self._pipeline is None or self._outputs is None:
            raise RuntimeError("no model is loaded; configure the node first")
        settings = self._settings
        self._pipeline.with_settings(settings.frame.pipeline)
        self._pipeline.reset()
        self._inputs = Inputs(self, settings, self._accounting, self._warn)
        self._worker = FusionWorker(
            self._pipeline,
            self._outputs,
            self._accounting,
            self._inputs.decoders,
            settings.frame,
            self.get_clock(),
            self._warn,
        )
        self._worker.start()
        self._inputs.open(self._worker)
        self._active_since = time.monotonic()

    def _after(self, name: str) -> None:
        """What needs the publishers to be active, or the user to know."""
        if name == "configure" and self._pipeline is not None:
            self.get_logger().info(
                f"{self._pipeline.model_name} on {self._pipeline.device}, "
                f"{len(self._pipeline.classes)} classes"
            )
        if name == "activate" and self._outputs is not None and self._inputs is not None:
            self._outputs.publish_classes()
            self._report_unknown_parameters(with_qos=True)
            topics = " and ".join(self._inputs.topics.values())
            self.get_logger().info(f"active: fusing {topics}")

    def _deactivate(self) -> None:
        self._stop_frames(None)

    def _release(self) -> None:
        self._swap.release()
        self._stop_frames(None)
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _undo(self, name: str) -> None:
        """Leaves nothing half done behind a failed transition."""
        try:
            if name == "activate":
                self._stop_frames(None)
            else:
                self._release()
        except Exception:
            self.get_logger().error(traceback.format_exc())

    def _stop_frames(self, timeout: float | None) -> bool:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._worker is None:
            return True
        ended = self._worker.stop(timeout)
        if ended:
            self._worker = None
        self.get_logger().info(f"stopped; {self._accounting.figures().summary()}")
        return ended

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        if self._state != "unconfigured":
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _on_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            reason = refusal(changes, self._state)
            settings = read_settings(self, changes)
            reason = reason or self._swap.objection(settings.model)
            reason = reason or self._mode_objection(settings)
        except ParameterError as error:
            reason = str(error)
        if reason:
            return SetParametersResult(successful=False, reason=reason)
        self._settings = settings
        self._swap.follow(settings.model)
        if self._worker is not None and self._inputs is not None:
            self._worker.change(settings.frame)
            self._inputs.change(settings)
        return SetParametersResult(successful=True)

    def _mode_objection(self, settings: NodeSettings) -> str:
        """Why the model that serves cannot work in the mode asked for; empty if it can."""
        if self._pipeline is None:
            return ""
        try:
            self._pipeline.resolve_mode(settings.frame.pipeline.mode)
        except ValueError as error:
            return str(error)
        return ""

    def _report_unknown_parameters(self, *, with_qos: bool) -> None:
        """Warns of overrides that nothing takes; QoS ones are known once topics are subscribed."""
        for name, sentence in unknown_overrides(self).items():
            is_qos = name.startswith("qos_overrides.")
            if name not in self._reported and (with_qos or not is_qos):
                self._reported.add(name)
                self.get_logger().warning(sentence)

    def _snapshot(self) -> Snapshot:
        settings, inputs = self._settings, self._inputs
        file = self._pipeline.model_file if self._pipeline else None
        return Snapshot(
            state=self._state,
            figures=self._accounting.figures(),
            failure=self._failure,
            model=self._pipeline.model_name if self._pipeline else settings.model,
            model_file=str(file.path) if file else "",
            model_sha256=file.sha256 if file else "",
            device=self._pipeline.device if self._pipeline else settings.device,
            notice=self._pipeline.notice if self._pipeline else "",
            mode=self._pipeline.mode if self._pipeline else settings.frame.pipeline.mode,
            reloads=self._swap.reloads(),
            active_for=time.monotonic() - self._active_since,
            inputs={stream: inputs.connection(stream) for stream in STREAMS} if inputs else {},
            max_skew=settings.max_skew / 1e9,
            infrared_offset=settings.infrared_offset / 1e9,
            misses=inputs.misses() if inputs else Misses(),
            subscribers=self._outputs.subscribers() if self._outputs else {},
            unserved=self._outputs.unserved() if self._outputs else {},
            shrinkage=_shrinkage(self._pipeline),
        )


def _shrinkage(pipeline: FusionPipeline | None) -> str:
    if pipeline is None or pipeline.shrinkage is None:
        return ""
    return (
        f"fused at {pipeline.shrinkage.side} pixels ({pipeline.shrinkage.reason}); end other "
        "programs on it, or set max_side to stay there; the full size is tried again every minute"
    )
