"""What the Python interface of each TensorRT has, of all that the backend might call.

Read from NVIDIA's open bindings (github.com/NVIDIA/TensorRT, python/src) at the tags v8.6.1,
v10.3.0, v10.13.0 and v11.1, and held against its migration guides for 10 and 11. A name is
`Class.member`; `+` are properties that can be set. `make_module` gives a module of recorders that
have these names and no others: it runs no network, it only fails on a call that a version lacks.
"""
from __future__ import annotations

import enum
from types import ModuleType, SimpleNamespace

VERSIONS = {'8.6.1': 'v8.6.1', '10.3.0': 'v10.3.0', '10.13.0.35': 'v10.13.0', '11.1.0': 'v11.1'}

ALWAYS = {
    'Logger': ['WARNING'],
    'Builder': ['create_network', 'create_builder_config', 'create_optimization_profile',
                'build_serialized_network'],
    'NetworkDefinitionCreationFlag': [],
    'BuilderFlag': ['TF32'],
    'OnnxParser': ['parse', 'num_errors', 'get_error'],
    'IOptimizationProfile': ['set_shape'],
    'IBuilderConfig': ['add_optimization_profile', 'set_flag', 'clear_flag',
                       'set_memory_pool_limit'],
    'INetworkDefinition': ['num_layers', 'get_layer'],
    'ILayer': ['name', 'num_outputs', 'get_output'],
    'Runtime': ['deserialize_cuda_engine'],
    'ICudaEngine': ['num_io_tensors', 'get_tensor_name', 'get_tensor_mode', 'get_tensor_dtype',
                    'get_tensor_shape', 'create_execution_context'],
    'IExecutionContext': ['set_input_shape', 'get_tensor_shape', 'set_tensor_address',
                          'execute_async_v3'],
    'TensorIOMode': ['INPUT', 'OUTPUT'],
    'DataType': ['FLOAT', 'HALF', 'INT8', 'UINT8'],
}
# Of what is not in every version: in which it is.
SOMETIMES = {
    'NetworkDefinitionCreationFlag.EXPLICIT_BATCH': ('8.6', '10.3', '10.13'),
    'NetworkDefinitionCreationFlag.STRONGLY_TYPED': ('10.3', '10.13', '11.1'),
    'BuilderFlag.FP16': ('8.6', '10.3', '10.13'),
    'BuilderFlag.INT8': ('8.6', '10.3', '10.13'),
    'BuilderFlag.OBEY_PRECISION_CONSTRAINTS': ('8.6', '10.3', '10.13'),
    'IBuilderConfig.progress_monitor': ('10.3', '10.13', '11.1'),
    'IProgressMonitor.phase_start': ('10.3', '10.13', '11.1'),
    'ILayer.precision': ('8.6', '10.3', '10.13'),
    'ILayer.set_output_type': ('8.6', '10.3', '10.13'),
    'IBuilderConfig.max_workspace_size': ('8.6',),
    'IExecutionContext.execute_async_v2': ('8.6',),
    'Builder.platform_has_fast_fp16': ('8.6', '10.3', '10.13'),
}
SETTABLE = {'IBuilderConfig.progress_monitor', 'ILayer.precision'}


def has(version: str, name: str) -> bool:
    """Tell whether a version has a name."""
    if name in SOMETIMES:
        return '.'.join(version.split('.')[:2]) in SOMETIMES[name]
    kind, member = name.split('.')
    return member in ALWAYS.get(kind, ())


class Recorder:
    """Has the members of one class and records their use; what it lacks raises AttributeError."""

    def __init__(self, module: Recorded, kind: str) -> None:
        object.__setattr__(self, '_module', module)
        object.__setattr__(self, '_kind', kind)

    def _check(self, member: str) -> str:
        name = f'{self._kind}.{member}'
        if not has(self._module.version, name):
            raise AttributeError(f'TensorRT {self._module.version} has no {name}')
        return name

    def __getattr__(self, member: str):
        name = self._check(member)
        self._module.used.append(name)
        if name in self._module.values:
            return self._module.values[name]
        return lambda *arguments: self._module.call(name, arguments)

    def __setattr__(self, member: str, value: object) -> None:
        name = self._check(member)
        if name not in SETTABLE:
            raise AttributeError(f'{name} cannot be set')
        self._module.calls.append((name, value))


class Recorded:
    """One version: what was used and called, and what calls give back.

    Attributes:
        version: of TensorRT.
        used: names in the order of their use.
        calls: (name, arguments), or for a property that was set (name, value).
        values: of properties, by name.
        results: of calls, by name.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.used: list[str] = []
        self.calls: list[tuple[str, object]] = []
        self.values: dict[str, object] = {}
        self.results: dict[str, object] = {}

    def call(self, name: str, arguments: tuple) -> object:
        self.calls.append((name, arguments))
        result = self.results.get(name)
        return result(*arguments) if callable(result) else result

    def given(self, name: str) -> list:
        """List what a name was called with, or set to."""
        return [value for called, value in self.calls if called == name]


def make_module(record: Recorded) -> ModuleType:
    """Make a module `tensorrt` of recorders."""
    module = ModuleType('tensorrt')
    module.__version__ = record.version
    for kind in ('Builder', 'OnnxParser', 'Runtime'):
        setattr(module, kind, lambda *_, kind=kind: Recorder(record, kind))
    module.Logger = lambda *_: None
    module.Logger.WARNING = 2
    for kind in ('BuilderFlag', 'NetworkDefinitionCreationFlag', 'TensorIOMode', 'DataType'):
        names = ALWAYS[kind] + [name.split('.')[1] for name in SOMETIMES
                                if name.startswith(f'{kind}.') and has(record.version, name)]
        # 8.6 numbers EXPLICIT_BATCH 0; STRONGLY_TYPED is 1 where both are.
        values = {name: place for place, name in enumerate(sorted(names))}
        setattr(module, kind, enum.IntEnum(kind, values))
    module.float32 = module.DataType.FLOAT
    if has(record.version, 'IProgressMonitor.phase_start'):
        module.IProgressMonitor = type('IProgressMonitor', (), {})
    config, network = Recorder(record, 'IBuilderConfig'), Recorder(record, 'INetworkDefinition')
    record.results |= {
        'Builder.create_network': network, 'Builder.create_builder_config': config,
        'Builder.create_optimization_profile': Recorder(record, 'IOptimizationProfile'),
        'Builder.build_serialized_network': memoryview(b'an engine'), 'OnnxParser.parse': True,
        'OnnxParser.get_error': lambda place: SimpleNamespace(desc=lambda: f'reason {place}')}
    record.values |= {'OnnxParser.num_errors': 2, 'INetworkDefinition.num_layers': 0}
    return module
