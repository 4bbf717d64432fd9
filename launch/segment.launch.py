"""Start the segmentation node; an argument that is not given leaves the choice to the node."""
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(__file__).parent.parent
PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'
ARGUMENTS = {
    'image': 'topic of the camera images; with cameras, {camera} stands for the name of each',
    'depth': 'topic of the depth images, for ~/points; {camera} as above',
    'cameras': 'names of the cameras, as in front,left; one without a name if not given',
    'model': 'name of a shipped model, or folder of one',
    'backend': 'what runs the network',
    'device': 'where the network runs',
    'params_file': 'parameters of the node; config/segment.yaml is one to copy',
    'namespace': 'namespace of the node',
    'use_sim_time': 'true: time from /clock',
    'respawn': 'true: start the node again, after a second, whenever it ends',
}
PARAMETERS = {'model': str, 'backend': str, 'device': str, 'use_sim_time': bool}


def segmentation_node(context: LaunchContext) -> list[Node]:
    """Make the node with what the user has set."""
    given = {name: value for name in ARGUMENTS
             if (value := LaunchConfiguration(name).perform(context))}
    parameters: list = [given['params_file']] if 'params_file' in given else []
    # Typed, or launch would read the model `2024` as a number.
    parameters += [{name: ParameterValue(LaunchConfiguration(name), value_type=kind)}
                   for name, kind in PARAMETERS.items() if name in given]
    cameras = given.get('cameras', '').split(',')
    if cameras != ['']:
        parameters.append({'cameras': cameras})
    remappings = [
        (f'{camera}/image{end}'.lstrip('/'), given['image'].replace('{camera}', camera) + end)
        for camera in cameras for end in ('', '/compressed') if 'image' in given]
    remappings += [(f'{camera}/depth'.lstrip('/'), given['depth'].replace('{camera}', camera))
                   for camera in cameras if 'depth' in given]
    # Drivers publish the calibration beside the image.
    remappings += [
        (f'{camera}/camera_info'.lstrip('/'), f'{folder}{slash}camera_info')
        for camera in cameras if 'image' in given
        for folder, slash, _ in [given['image'].replace('{camera}', camera).rpartition('/')]]
    return [Node(package='frm_seg_ros', executable='segmentation_node', name='frm_seg',
                 namespace=given.get('namespace', ''), parameters=parameters,
                 remappings=remappings, output='screen',
                 respawn=given.get('respawn') == 'true', respawn_delay=1.0)]


def generate_launch_description() -> LaunchDescription:
    """Describe the launch; large images need the shared-memory profile to arrive."""
    profiles = EnvironmentVariable(PROFILES, default_value=str(SHARE / 'config/fastdds_shm.xml'))
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in ARGUMENTS.items()),
        DeclareLaunchArgument('rviz', default_value='false', description='true: open RViz too'),
        SetEnvironmentVariable(PROFILES, profiles),
        OpaqueFunction(function=segmentation_node),
        Node(package='rviz2', executable='rviz2',
             arguments=['-d', str(SHARE / 'rviz/segment.rviz')],
             condition=IfCondition(LaunchConfiguration('rviz'))),
    ])
