"""Replay a bag through the segmentation node and measure it; all ends when the replay does."""
import shlex
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessStart
from launch.events.process import ProcessStarted
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

ARGUMENTS = {
    'options': 'further options of replay, such as "--rates 10,30 --json drive.json"',
    'image': 'topic between replay and node',
    'model': 'name of a shipped model, or folder of one',
    'backend': 'what runs the network',
    'device': 'where the network runs',
    'params_file': 'parameters of the node; config/segment.yaml is one to copy',
    'namespace': 'namespace of the node',
    'use_sim_time': 'true: replay publishes /clock, and the node takes its time from there',
}


def is_node(action: Action) -> bool:
    """Tell the node from other processes."""
    return isinstance(action, Node) and action.node_executable == 'segmentation_node'


def replay(event: ProcessStarted, context: LaunchContext) -> ExecuteProcess:
    """Start the replay, which measures the node's process too."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ('bag', *ARGUMENTS)}
    namespace = '/'.join(['', *given['namespace'].strip('/').split('/')]).rstrip('/')
    image = given['image'] or 'image'
    words = [given['bag'], '--pid', str(event.pid),
             '--image', image if image.startswith('/') else f'{namespace}/{image}',
             '--output', f'{namespace}/frm_seg/label_image', *shlex.split(given['options'])]
    if given['use_sim_time'] == 'true':
        words.append('--clock')
    return ExecuteProcess(
        cmd=[ExecutableInPackage('replay', 'frm_seg_ros'), *words], output='screen',
        on_exit=Shutdown(reason='the replay ended'))


def generate_launch_description() -> LaunchDescription:
    """Describe the launch; an argument that is not given leaves the choice to replay or node."""
    segment = PythonLaunchDescriptionSource(
        str(Path(__file__).with_name('segment.launch.py')))

    def node(context: LaunchContext) -> list[Action]:
        return [IncludeLaunchDescription(segment, launch_arguments=[
            (name, value) for name in ARGUMENTS if name != 'options'
            if (value := LaunchConfiguration(name).perform(context))])]

    return LaunchDescription([
        DeclareLaunchArgument('bag', description='folder of a bag, or its file'),
        *(DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in ARGUMENTS.items()),
        RegisterEventHandler(OnProcessStart(
            target_action=is_node, on_start=replay)),
        OpaqueFunction(function=node),
    ])
