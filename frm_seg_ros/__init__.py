"""Turn camera images into pixel labels: a segmentation network, its backends and a ROS 2 node."""
# The generated messages install as `frm_seg_ros.msg` into the sourced workspace; these two lines
# let them be found beside a source checkout of the same name.
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
