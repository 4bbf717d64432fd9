"""Start one segmentation node for several cameras; it has the arguments of segment.launch.py."""
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: cameras have to be named, all else is as with one."""
    return LaunchDescription([
        DeclareLaunchArgument('cameras', description='names of the cameras, as in front,left'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(
            str(Path(__file__).parent / 'segment.launch.py'))),
    ])
