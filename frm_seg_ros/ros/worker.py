"""The thread that labels: the newest frames of all cameras as one batch."""
from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from frm_seg_ros.core.errors import one_line
from frm_seg_ros.ros.camera import Camera
from frm_seg_ros.ros.engine import Engine
from frm_seg_ros.ros.job import Job
from frm_seg_ros.ros.mailbox import Mailbox


class Worker:
    """Runs the cameras of a node on its one engine.

    The executor's thread only stores the newest message of each camera; a thread of our own takes
    all that is there, decodes, labels and publishes. It waits for no camera: those that have no
    new frame are not in the batch. Between frames it mends the engine.
    """

    def __init__(self, engine: Engine, cameras: Mapping[str, Camera],
                 give_up: Callable[[str], None]) -> None:
        """Take the engine and the cameras; `give_up` ends the process and says why."""
        self._give_up = give_up
        self._engine = engine
        self._cameras = cameras
        self._mailbox = Mailbox()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Let all cameras subscribe, and begin to work."""
        self._mailbox = Mailbox()
        for camera in self._cameras.values():
            camera.subscribe(self._mailbox)
        self._thread = threading.Thread(target=self._run, name='worker')
        self._thread.start()

    def stop(self) -> None:
        """Let all cameras stop subscribing, and finish the frames in hand."""
        for camera in self._cameras.values():
            camera.unsubscribe()
        for name in self._mailbox.close():
            self._cameras[name].accounting.drop('inactive')
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:   # a fault of ours: without this thread the node is dead
            self._give_up(f'the thread that labels has ended ({one_line(error)})')

    def _work(self) -> None:
        while (arrivals := self._mailbox.take(self._engine.wait_s)) is not None:
            self._engine.mend()
            jobs = [(camera, job) for camera, job in (
                (self._cameras[name], self._cameras[name].prepare(arrival))
                for name, arrival in arrivals.items()) if job is not None]
            if jobs:
                self._label(jobs)

    def _label(self, jobs: list[tuple[Camera, Job]]) -> None:
        confident = any(job.confident for _, job in jobs)
        try:
            predictions = self._engine([job.view for _, job in jobs], confident)
        except Exception as error:   # whatever an engine raises: the node lives on
            for camera, _ in jobs:
                camera.fail(error)
            return
        for (camera, job), prediction in zip(jobs, predictions, strict=True):
            job.report.batch = len(jobs)
            camera.finish(job, prediction)
