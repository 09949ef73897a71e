"""What the module tells ONNX Runtime, seen from the other side: a table of functions that is written here."""

import ctypes

import pytest

from mmreg_rt import _native

PLACES = 276
CREATE_STATUS, CREATE_DOMAIN, ADD, ADD_DOMAIN, INT, TEXT, STREAM = 0, 26, 27, 28, 86, 87, 193
pointer, size = ctypes.c_void_p, ctypes.c_size_t
_tables = []  # as in the library, they are never gone


class Table:
    """An ``OrtApi`` whose functions are Python's; ``said`` is what the module made statuses of."""

    def __init__(self, newest, padding=b"zeros"):
        self.said, self.ops, self.asked, self.padding = [], [], [], padding
        self.functions = (pointer * PLACES)()
        self._kept = []
        _tables.append(self)
        self.put(CREATE_STATUS, self.status, ctypes.c_int, ctypes.c_char_p)
        self.put(
            CREATE_DOMAIN, lambda _name, out: self.give(out, 7), ctypes.c_char_p, ctypes.POINTER(pointer)
        )
        self.put(ADD, lambda _domain, op: self.ops.append(op), pointer, pointer)
        self.put(ADD_DOMAIN, lambda _options, _domain: None, pointer, pointer)
        self.put(
            INT,
            lambda _info, _name, out: self.give(out, 0),
            pointer,
            ctypes.c_char_p,
            ctypes.POINTER(pointer),
        )
        self.put(TEXT, self.text, pointer, ctypes.c_char_p, pointer, ctypes.POINTER(size))
        self.put(STREAM, lambda _context, out: self.give(out, 64), pointer, ctypes.POINTER(pointer))
        get = ctypes.CFUNCTYPE(pointer, ctypes.c_uint32)(self.get)
        self._kept.append(get)
        self.newest, self.base = newest, (pointer * 2)(ctypes.cast(get, pointer).value, None)

    def put(self, place, function, *arguments):
        made = ctypes.CFUNCTYPE(pointer, *arguments)(function)
        self._kept.append(made)
        self.functions[place] = ctypes.cast(made, pointer).value

    def get(self, version):
        self.asked.append(version)
        return ctypes.addressof(self.functions) if version <= self.newest else None

    def status(self, _code, words):
        self.said.append(words.decode())
        return len(self.said)

    def give(self, out, value):
        out[0] = value

    def text(self, _info, _name, out, length):
        ctypes.memmove(out, self.padding + b"\0", len(self.padding) + 1)
        length[0] = len(self.padding) + 1

    def register(self):
        register = ctypes.CDLL(_native.__file__).RegisterCustomOps
        register.restype, register.argtypes = pointer, (pointer, pointer)
        return register(None, ctypes.addressof(self.base))


class Op(ctypes.Structure):
    """``OrtCustomOp`` of version 16, its functions as addresses."""

    _fields_ = [("version", ctypes.c_uint32)] + [(f"function{place}", pointer) for place in range(1, 19)]

    def call(self, place, result, *arguments):
        kinds = [pointer] * len(arguments)
        return ctypes.CFUNCTYPE(result, *kinds)(getattr(self, f"function{place}"))(*arguments)


def ops(table):
    return [Op.from_address(address) for address in table.ops]


def test_an_old_library_is_told_what_is_needed():
    table = Table(newest=11)
    assert table.register() == 1
    assert table.asked == [17, 1]
    assert table.said == ["the operations of mmreg need ONNX Runtime 1.17 or later"]


def test_the_operation_is_there_for_the_cpu_and_for_cuda():
    table = Table(newest=17)
    assert table.register() is None and table.said == []
    assert table.register() is None and len(table.ops) == 2  # once for all sessions
    assert [op.call(3, ctypes.c_char_p, None) for op in ops(table)] == [None, b"CUDAExecutionProvider"]
    for op in ops(table):
        assert op.version == 16 and op.call(2, ctypes.c_char_p, None) == b"Warp"
        assert (op.call(5, size, None), op.call(7, size, None)) == (2, 1)


def made(table, op):
    kernel = pointer()
    status = op.call(17, pointer, None, ctypes.addressof(table.functions), None, ctypes.addressof(kernel))
    return status, kernel.value


def test_a_device_that_is_not_there_is_an_error_of_the_run():
    if not (reason := _native.why_no_device("cuda")):
        pytest.skip("there is a CUDA device")
    table = Table(newest=17)
    table.register()
    on_cuda = ops(table)[1]
    status, kernel = made(table, on_cuda)
    assert status is None and kernel
    assert on_cuda.call(18, pointer, kernel, None) == 1
    assert table.said == [f"cuda:0 was requested: {reason}"]
    on_cuda.call(9, None, kernel)


def test_a_kernel_of_no_padding_is_refused():
    table = Table(newest=17, padding=b"mirror")
    table.register()
    status, kernel = made(table, ops(table)[0])
    assert (status, kernel) == (1, None) and table.said == ["mmreg::Warp has no padding mirror"]
