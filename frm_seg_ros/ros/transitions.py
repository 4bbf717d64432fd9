"""What rclpy leaves to its users about transitions."""
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode

from frm_seg_ros.core.errors import one_line


def refuse_impossible(node: LifecycleNode) -> None:
    """Answer requests for transitions that the state does not have, such as a second activate.

    rclpy (Humble to Kilted) raises in its service instead, which ends the process.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _refusing(node, service.callback)


def _refusing(node: LifecycleNode, change: Callable[..., Any]) -> Callable[..., Any]:
    def answer(request: ChangeState.Request, response: ChangeState.Response) -> Any:
        try:
            return change(request, response)
        except RuntimeError as error:   # of which rclpy's own is a kind
            if not node.context.ok():   # a signal came meanwhile
                raise
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f'transition {wanted} is refused: {one_line(error)}')
            response.success = False
            return response

    return answer


def logged(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Log what a transition's callback raises: rclpy goes on to `on_error` without a word."""
    @wraps(callback)
    def call(node: LifecycleNode, *arguments: Any) -> Any:
        try:
            return callback(node, *arguments)
        except Exception as error:
            node.get_logger().error(f'{callback.__name__} failed: {one_line(error)}')
            raise

    return call
