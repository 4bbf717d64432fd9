"""What the builder calls, by version, against what each version has; and how a child is followed.

The recorders of tensorrt_api.py build nothing: whether TensorRT accepts the network is not tested.
"""
import json
import signal
import sys
import threading
import time

import pytest
from tensorrt_api import ALWAYS, SOMETIMES, VERSIONS, Recorded, Recorder, has, make_module

from frm_seg_ros.backends import tensorrt_builder
from frm_seg_ros.backends.tensorrt_build import build_engine, check_version
from frm_seg_ros.core.errors import ConfigError

SHAPES = [[1, 384, 480, 3], [4, 384, 480, 3], [4, 384, 480, 3]]
OLD = '8.6.1'
NEW = [version for version in VERSIONS if version != OLD]


@pytest.fixture
def install(monkeypatch):
    def put(version):
        record = Recorded(version)
        monkeypatch.setitem(sys.modules, 'tensorrt', make_module(record))
        return record
    return put


@pytest.fixture
def request_for(tmp_path):
    def make(precision, names=()):
        (tmp_path / 'model.onnx').write_bytes(b'a network')
        return {'network': str(tmp_path / 'model.onnx'), 'input': 'pixels', 'shapes': SHAPES,
                'precision': precision, 'float32_nodes': list(names)}
    return make


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('precision', ['float32', 'float16', 'int8'])
def test_every_version_is_asked_only_for_what_it_has(version, precision, install, request_for):
    record = install(version)
    assert tensorrt_builder.build(request_for(precision)) == b'an engine'
    assert record.given('OnnxParser.parse') == [(b'a network',)]
    assert record.given('IOptimizationProfile.set_shape') == [
        ('pixels', *map(tuple, SHAPES))]
    trt = sys.modules['tensorrt']
    assert record.given('IBuilderConfig.clear_flag') == [(trt.BuilderFlag.TF32,)]
    assert len(record.given('IBuilderConfig.add_optimization_profile')) == 1


@pytest.mark.parametrize(('version', 'flag'), [
    ('8.6.1', 'EXPLICIT_BATCH'), ('10.3.0', 'STRONGLY_TYPED'), ('10.13.0.35', 'STRONGLY_TYPED')])
def test_how_the_network_is_created(version, flag, install, request_for):
    record = install(version)
    tensorrt_builder.build(request_for('float16'))
    bit = getattr(sys.modules['tensorrt'].NetworkDefinitionCreationFlag, flag)
    assert record.given('Builder.create_network') == [(1 << int(bit),)]


def test_11_is_strongly_typed_by_itself(install, request_for):
    record = install('11.1.0')
    tensorrt_builder.build(request_for('float16'))
    assert record.given('Builder.create_network') == [(0,)]


@pytest.mark.parametrize(('precision', 'flags'), [
    ('float32', set()), ('float16', {'FP16', 'OBEY_PRECISION_CONSTRAINTS'}),
    ('int8', {'FP16', 'INT8', 'OBEY_PRECISION_CONSTRAINTS'})])
def test_flags_of_8_6(precision, flags, install, request_for):
    record = install(OLD)
    tensorrt_builder.build(request_for(precision))
    assert {flag.name for flag, in record.given('IBuilderConfig.set_flag')} == flags
    assert not record.given('IBuilderConfig.progress_monitor')


@pytest.mark.parametrize('version', NEW)
def test_later_versions_get_no_flag_and_tell_their_progress(version, install, request_for, capsys):
    record = install(version)
    tensorrt_builder.build(request_for('float16'))
    assert not record.given('IBuilderConfig.set_flag')
    monitor, = record.given('IBuilderConfig.progress_monitor')
    monitor.phase_start('Timing', None, 40)
    assert monitor.step_complete('Timing', 11) is True
    monitor.phase_finish('Timing')
    assert capsys.readouterr().out == 'progress Timing: 12 of 40\n'


def test_8_6_keeps_the_attention_in_float32(install, request_for):
    record = install(OLD)
    layers = {}
    for name in ('/a/MatMul', '/a/MatMul_1', '/a/Softmax_3', '/b/Conv'):
        layers[name] = own = Recorded(OLD)
        own.values |= {'ILayer.name': name, 'ILayer.num_outputs': 1}
    record.values['INetworkDefinition.num_layers'] = len(layers)
    record.results['INetworkDefinition.get_layer'] = lambda place: Recorder(
        list(layers.values())[place], 'ILayer')
    tensorrt_builder.build(request_for('float16', ['/a/MatMul', '/a/Softmax']))
    float32 = sys.modules['tensorrt'].float32
    for name, own in layers.items():
        kept = name.startswith('/a/')
        assert own.given('ILayer.precision') == [float32] * kept
        assert own.given('ILayer.set_output_type') == [(0, float32)] * kept


def test_a_network_that_cannot_be_read_is_refused_with_all_reasons(install, request_for):
    record = install('10.3.0')
    record.results['OnnxParser.parse'] = False
    with pytest.raises(RuntimeError, match='10.3.0 cannot read the network: reason 0; reason 1'):
        tensorrt_builder.build(request_for('float32'))


def test_no_engine_is_an_error(install, request_for):
    record = install('10.3.0')
    record.results['Builder.build_serialized_network'] = None
    with pytest.raises(RuntimeError, match='built no engine'):
        tensorrt_builder.build(request_for('float32'))


def test_the_recorders_refuse_what_a_version_lacks(install):
    record = install('11.1.0')
    with pytest.raises(AttributeError, match='TensorRT 11.1.0 has no ILayer.precision'):
        Recorder(record, 'ILayer').precision = 1
    with pytest.raises(AttributeError):
        sys.modules['tensorrt'].BuilderFlag.FP16  # noqa: B018
    assert not has(OLD, 'IBuilderConfig.progress_monitor')
    twice = {name for name in SOMETIMES
             if name.split('.')[1] in ALWAYS.get(name.split('.')[0], ())}
    assert not twice


@pytest.mark.parametrize('version', ['8.6.1', '8.6.2', '10.0.1', '10.3.0', '10.16.1.11', '11.4.0'])
def test_versions_that_are_supported(version):
    check_version(version)


@pytest.mark.parametrize('version', ['8.5.2', '8.4.1', '9.3.0', '7.2.1', '12.0.0'])
def test_versions_that_are_not(version):
    with pytest.raises(ConfigError, match=f'TensorRT {version} is installed: .* 8.6, 10 and 11'):
        check_version(version)


def child(code):
    """Give the command of a child that runs `code` with the request and the path of the engine."""
    return [sys.executable, '-c', f'import sys, json, time\nrequest, out = sys.argv[1:]\n{code}']


def build(code, progress=lambda text: None):
    return build_engine(b'network', 'pixels', [(1, 64, 64, 3)] * 3, 'float16', ['a'], progress,
                        child(code))


def test_the_child_gets_the_request_and_its_file_is_the_engine():
    code = ('facts = json.load(open(request)); '
            'facts["bytes"] = len(open(facts.pop("network"), "rb").read())\n'
            'json.dump(facts, open(out, "w"))')
    assert json.loads(build(code)) == {
        'input': 'pixels', 'shapes': [[1, 64, 64, 3]] * 3, 'precision': 'float16',
        'float32_nodes': ['a'], 'bytes': 7}


def test_progress_is_told_with_and_without_a_monitor():
    told = []
    build('print("progress Timing: 3 of 9", flush=True); time.sleep(2.3); open(out, "w")',
          told.append)
    assert told[-1].startswith('building the engine for ')
    assert told[-1].endswith(' s, Timing: 3 of 9')
    told.clear()
    build('time.sleep(2.3); open(out, "w")', told.append)
    assert told[-1].endswith(' s')


@pytest.mark.parametrize(('code', 'words'), [
    ('print("failure it is too large", flush=True); sys.exit(1)',
     'no engine was built: it is too large'),
    ('sys.exit(3)', 'no engine was built: the process that built it ended with the lines above'),
    ('pass', 'no engine was built'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGKILL)', 'was ended by signal 9'),
])
def test_a_build_that_fails_says_why(code, words):
    with pytest.raises(ConfigError, match=words):
        build(code)


def test_what_is_told_the_progress_ends_the_build_by_raising(tmp_path):
    """As the node does when it is told to end: rclpy lets no KeyboardInterrupt through."""
    note = tmp_path / 'done'

    def ending(text):
        raise ConfigError('the node is ending')

    with pytest.raises(ConfigError, match='the node is ending'):
        build(f'time.sleep(8); open({str(note)!r}, "w")', ending)
    assert not note.exists()   # the child is waited for, and did not come to its end


def test_an_interrupt_ends_the_child(tmp_path):
    """As Ctrl-C does: the exception comes while the child is waited for."""
    note = tmp_path / 'started'

    def interrupt():
        while not note.exists():
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        build(f'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n'
              f'open({str(note)!r}, "w")\ntime.sleep(8)\nopen({str(tmp_path / "ended")!r}, "w")')
    assert not (tmp_path / 'ended').exists()


def test_the_real_builder_says_what_is_not_installed(tmp_path):
    if 'tensorrt' in sys.modules:
        pytest.skip('TensorRT is installed')
    with pytest.raises(ConfigError, match='no engine was built'):
        build_engine(b'network', 'pixels', [(1, 64, 64, 3)] * 3, 'float16', [], lambda text: None)
