"""Nodes that take an image and give one, for tests of the replay: not of this package."""
from __future__ import annotations

import argparse
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image


def main() -> None:
    """Give every image back, as its first channel, from `in` to `out`."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--every', type=int, default=1, help='answer every so many-th; 0: none')
    parser.add_argument('--sleep', type=float, default=0.0, help='seconds for each')
    parser.add_argument('--best-effort', action='store_true')
    parser.add_argument('--die-after', type=int, default=0, help='images; 0: never')
    args = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('answering')
    reliability = ReliabilityPolicy.BEST_EFFORT if args.best_effort else ReliabilityPolicy.RELIABLE
    publisher = node.create_publisher(Image, '/there/out', QoSProfile(
        depth=10, reliability=reliability))
    count = 0

    def answer(image: Image) -> None:
        nonlocal count
        count += 1
        if count == args.die_after:
            raise SystemExit('tired')
        if args.every and count % args.every == 0:
            time.sleep(args.sleep)
            publisher.publish(Image(
                header=image.header, height=image.height, width=image.width, encoding='mono8',
                step=image.width, data=image.data[::3]))

    node.create_subscription(Image, '/there/in', answer, QoSProfile(
        depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass


if __name__ == '__main__':
    main()
