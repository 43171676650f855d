"""Does features.toml agree with what the assembler takes, refuses and makes of each feature, for every architecture?

Every probe goes through the ptxas of the wheels: CUDA's own for 7.5 and newer, Triton's 12.x for 6.1 and 7.0, which
CUDA 13 refuses. Probes that must be taken make one module, those that must be refused another, so a target costs two
runs; of a module that is refused, each probe must have an error of its own. Nothing is cached.
"""

from __future__ import annotations

import re

import pytest

from warpbench import hardware
from warpbench.backends import sass, tools
from warpbench.hardware import probes
from warpbench.hardware.features import known_cc, targets_of

PTX = [name for name, one in probes.probes().items() if one.language == "ptx"]
CU = [name for name, one in probes.probes().items() if one.language == "cu"]
TARGETS = [target for cc in known_cc() for target in targets_of(cc)]
OLD = ("sm_61", "sm_70")  # the assembler of CUDA 13 and its disassembler refuse them
NEWEST_PTX = {True: "8.7", False: "9.0"}  # of the assemblers used: 12.8 for the old, 13.0
# the language of PTX versions, oldest first: CUDA toolkits from 9.0 on
VERSIONS = (
    "6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7", "7.8", "8.0",
    "8.1", "8.2", "8.3", "8.4", "8.5", "8.6", "8.7", "8.8", "9.0",
)  # fmt: skip
# the last two: a form that the older assembler does not know yet (three-input max), and vectors wider than it allows
REFUSALS = (
    r"not supported|requires? |cannot be used|cannot be compiled for architecture|Unexpected|unsupported|Unknown"
    r"|Illegal|Not a name|Arguments mismatch for instruction 'max'|Vector type too large"
)
# one of each kind of architecture in the fast part, all of them in the slow one
SOON = {"sm_61", "sm_86", "sm_89", "sm_90a", "sm_120a"}


def slow_but(soon, values):
    return [value if value in soon else pytest.param(value, marks=pytest.mark.slow) for value in values]


by_target = pytest.mark.parametrize("target", slow_but(SOON, TARGETS))


def cc_of(target):
    number = re.sub(r"\D", "", target)
    return f"{number[:-1]}.{number[-1]}"


def assembler(target):
    return tools.assembler("triton", target) if target in OLD else tools.ptxas()


def assemble(ptx, target, folder):
    (folder / "probe.ptx").write_text(ptx)
    return tools.run(assembler(target), [f"-arch={target}", "probe.ptx", "-o", "probe.cubin"], folder)


def opcodes(folder):
    """What each kernel of the assembled module consists of."""
    said = tools.run(tools.nvdisasm(), ["-c", "probe.cubin"], folder)
    assert said.status == 0, said.err
    found = {}
    for name, code in sass.disassembled(said.out).items():
        found[name] = [re.sub(r"^@!?U?P\w+ +", "", one.text).partition(" ")[0] for one in code if one.mnemonic]
    return found


def test_every_feature_that_can_be_assembled_has_a_probe():
    of_chips = {name for name, one in hardware.features().items() if one.kind == "chip"}
    without = of_chips - set(PTX) - set(CU)
    asked_of_the_device = {"l2_persistence", "unified_memory_full"}
    assert without == asked_of_the_device
    assert len(PTX) == 94
    assert len(CU) == 11


def test_a_word_of_machine_code_is_found_whatever_stands_between():
    assert probes.shows("LDG.E.ENL2.256", "LDG.256")
    assert probes.shows("HFMA2.MMA.BF16_V2", "HFMA2.BF16_V2")
    assert not probes.shows("HMMA.16816.F32", "HMMA.16816.F32.BF16")
    assert not probes.shows("QMMA.SF.16832", "OMMA.SF")


@by_target
def test_what_the_table_accepts_is_assembled_and_shows_itself(target, tmp_path):
    cc = cc_of(target)
    accepted = [name for name in PTX if target in hardware.features()[name].targets]
    assert accepted
    module = probes.module(accepted, target, NEWEST_PTX[target in OLD])
    said = assemble(module.ptx, target, tmp_path)
    assert said.status == 0, said.err
    if target in OLD:
        return
    found = opcodes(tmp_path)
    assert set(found) >= set(accepted)
    wrong = [f"{name}: {why}" for name in accepted if (why := contradiction(name, cc, target, found[name]))]
    assert wrong == []


def contradiction(name, cc, target, code):
    """Why the machine code of a probe contradicts its row; empty if it does not."""
    one = hardware.features()[name]
    seen = any(probes.shows(opcode, word) for opcode in code for word in one.sass)
    emulated = any(probes.shows(opcode, word) for opcode in code for word in one.sass_not)
    if cc in one.native_cc and one.sass and (not seen or emulated):
        return f"native on {cc}, but the code for {target} is {code}"
    if cc not in one.native_cc and one.sass and seen and not emulated:
        return f"not native on {cc}, but the code for {target} is {code}"
    return ""


@by_target
def test_what_the_table_refuses_is_refused_for_its_own_sake(target, tmp_path):
    refused = [name for name in PTX if target not in hardware.features()[name].targets]
    assert refused
    module = probes.module(refused, target, NEWEST_PTX[target in OLD])
    said = assemble(module.ptx, target, tmp_path)
    assert said.status != 0
    errors = re.findall(r"line (\d+); *(?:error|fatal) *: *(.*)", said.err)
    assert {module.at(int(line)) for line, _ in errors} >= set(refused)
    assert [text for _, text in errors if not re.search(REFUSALS, text)] == []


def oldest(name):
    """The oldest target that takes a feature; of several suffixes the one that came first, which is `a`."""
    one = hardware.features()[name]
    first = [target for target in one.targets if cc_of(target) == one.accepted_cc[0]]
    return first[0] if one.suffix == "none" else first[-1]


@pytest.mark.parametrize("name", PTX)
def test_the_oldest_language_version(name, tmp_path):
    """It is assembled with the version that the table gives, and with none before it."""
    one = hardware.features()[name]
    target = oldest(name)
    assert assemble(probes.module([name], target, one.min_ptx).ptx, target, tmp_path).status == 0
    before = VERSIONS[: VERSIONS.index(one.min_ptx)]
    if before:
        assert assemble(probes.module([name], target, before[-1]).ptx, target, tmp_path).status != 0


def test_a_slip_in_the_table_is_found(tmp_path):
    """The checks above can fail: an FP8 mma on 9.0 is no QMMA, and sm_86 takes none."""
    target = "sm_90"
    assert assemble(probes.module(["mma_fp8"], target, "9.0").ptx, target, tmp_path).status == 0
    code = opcodes(tmp_path)["mma_fp8"]
    assert "HMMA.16816.F32" in code
    assert contradiction("mma_fp8", "9.0", target, code) == ""
    assert "native on 8.9, but" in contradiction("mma_fp8", "8.9", target, code)
    assert assemble(probes.module(["mma_fp8"], "sm_86", "9.0").ptx, "sm_86", tmp_path).status != 0


# -- what C++ reaches ----------------------------------------------------------------------------------------------
def compiled(names, target, folder):
    """Whether NVRTC takes C++ probes of one set of options as a program, and its log; the folder holds what it made."""
    from cuda.bindings import nvrtc
    from cuda.pathfinder import find_nvidia_header_directory

    include = find_nvidia_header_directory("cudart")
    text = "\n".join(probes.probes()[name].text for name in names)
    error, program = nvrtc.nvrtcCreateProgram(text.encode(), b"probe.cu", 0, [], [])
    options = [f"-arch={target}", f"-I{include}", f"-I{include}/cccl", *probes.probes()[names[0]].options]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(options), [one.encode() for one in options])
    if int(error):
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytearray(size)
        nvrtc.nvrtcGetProgramLog(program, log)
        return False, log.decode()
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    cubin = bytearray(size)
    nvrtc.nvrtcGetCUBIN(program, cubin)
    (folder / "probe.cubin").write_bytes(cubin)
    return True, ""


@pytest.mark.parametrize("cc", slow_but({"8.6", "12.0"}, [cc for cc in known_cc() if cc not in ("6.1", "7.0")]))
def test_what_compiles_as_cpp(cc, tmp_path):
    """What is taken in one program for each set of options, what is refused by itself."""
    target = f"sm_{cc.replace('.', '')}"
    features = hardware.features()
    for name in CU:
        if cc not in features[name].accepted_cc:
            assert not compiled([name], target, tmp_path)[0], name
    for options in {probes.probes()[name].options for name in CU}:
        accepted = [n for n in CU if cc in features[n].accepted_cc and probes.probes()[n].options == options]
        if not accepted:
            continue
        taken, log = compiled(accepted, target, tmp_path)
        assert taken, log
        if any(features[name].sass for name in accepted):
            code = opcodes(tmp_path)
            wrong = [f"{name}: {why}" for name in accepted if (why := contradiction(name, cc, target, code[name]))]
            assert wrong == []
