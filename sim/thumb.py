"""Thumb instructions as the cycle model sees them, decoded by capstone."""

from dataclasses import dataclass
from enum import Enum, auto

import capstone
from capstone import arm_const as arm

from tflm_reds.errors import SimulationError


class Kind(Enum):
    """Classes of the rule tables; ALU is everything that takes one cycle and no memory."""

    ALU = auto()
    MULTIPLY_ADD = auto()
    LONG_MULTIPLY = auto()
    LONG_MULTIPLY_ADD = auto()
    LOAD = auto()
    LOAD_PC = auto()
    STORE_IMMEDIATE = auto()
    STORE_REGISTER = auto()
    PAIR = auto()
    MULTIPLE = auto()
    BRANCH = auto()
    TABLE_BRANCH = auto()
    IT = auto()
    DIVIDE = auto()
    VFP = auto()
    VFP_MULTIPLY_ADD = auto()
    VFP_DIVIDE = auto()


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction; registers by capstone's numbers.

    Attributes:
        size: bytes, 2 or 4.
        results: registers written: of a load the loaded one, of ALU and VFP all.
        address_registers: base and index of a memory access.
        operands: registers read by VFP arithmetic.
        words: registers moved by LDM, STM, PUSH, POP (a D register counts 2).
        always_branches: never continues with the next instruction.
    """

    kind: Kind
    size: int
    results: frozenset[int] = frozenset()
    address_registers: frozenset[int] = frozenset()
    operands: frozenset[int] = frozenset()
    words: int = 0
    always_branches: bool = False


def _ids(names: str) -> set[int]:
    return {getattr(arm, f"ARM_INS_{name}") for name in names.split()}


LOADS = _ids("LDR LDRB LDRH LDRSB LDRSH LDRT LDRBT LDRHT LDRSBT LDRSHT LDREX LDREXB LDREXH VLDR")
STORES = _ids("STR STRB STRH STRT STRBT STRHT STREX STREXB STREXH VSTR")
PAIRS = _ids("LDRD STRD")
LISTS = _ids("PUSH POP VPUSH VPOP")  # all operands are registers of the list
BASED_LISTS = _ids("LDM LDMDB STM STMDB VLDMIA VLDMDB VSTMIA VSTMDB")  # the first one is the base
BRANCHES = _ids("B BL BX BLX CBZ CBNZ")
TABLE_BRANCHES = _ids("TBB TBH")
DIVISIONS = _ids("UDIV SDIV")
MULTIPLICATIONS = {
    **dict.fromkeys(_ids("MLA MLS"), Kind.MULTIPLY_ADD),
    **dict.fromkeys(_ids("SMULL UMULL"), Kind.LONG_MULTIPLY),
    **dict.fromkeys(_ids("SMLAL UMLAL"), Kind.LONG_MULTIPLY_ADD),
}
VFP_MULTIPLY_ADDS = _ids("VFMA VFMS VFNMA VFNMS VMLA VMLS VNMLA VNMLS")
VFP_DIVISIONS = _ids("VDIV VSQRT")

_decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
_decoder.detail = True


def decode(code: bytes, address: int = 0) -> tuple[Instruction, ...]:
    """Decode straight-line Thumb code.

    Raises:
        SimulationError: if bytes are no instruction that capstone knows.
    """
    decoded = tuple(_decoder.disasm(code, address))
    size = sum(instruction.size for instruction in decoded)
    if size != len(code):
        raise SimulationError(
            f"The code at {address + size:#010x} ({code[size : size + 4].hex()}) cannot be decoded "
            "for the cycle model."
        )
    return tuple(map(_instruction, decoded))


def find_fpu_instruction(code: bytes, address: int) -> int | None:
    """Address of the first instruction of the FPU in straight-line code, or None."""
    for decoded in _decoder.disasm(code, address):
        if decoded.mnemonic.startswith("v"):
            return decoded.address
    return None


def _instruction(decoded: capstone.CsInsn) -> Instruction:
    if decoded.id in LOADS | STORES | PAIRS:
        return _access(decoded)
    if decoded.id in LISTS | BASED_LISTS:
        return _list(decoded)
    if decoded.id == arm.ARM_INS_IT:
        return Instruction(Kind.IT, decoded.size)
    if decoded.id in BRANCHES | TABLE_BRANCHES:
        kind = Kind.TABLE_BRANCH if decoded.id in TABLE_BRANCHES else Kind.BRANCH
        return Instruction(kind, decoded.size, always_branches=_is_certain(decoded))
    return _arithmetic(decoded)


def _access(decoded: capstone.CsInsn) -> Instruction:
    memory = next(o.mem for o in decoded.operands if o.type == arm.ARM_OP_MEM)
    addresses = frozenset(register for register in (memory.base, memory.index) if register)
    if decoded.id in PAIRS:
        return Instruction(Kind.PAIR, decoded.size, address_registers=addresses)
    if decoded.id in STORES:
        kind = Kind.STORE_REGISTER if memory.index else Kind.STORE_IMMEDIATE
        return Instruction(kind, decoded.size, address_registers=addresses)
    target = decoded.operands[0].reg
    if target == arm.ARM_REG_PC:
        certain = _is_certain(decoded)
        return Instruction(
            Kind.LOAD_PC, decoded.size, address_registers=addresses, always_branches=certain
        )
    return Instruction(Kind.LOAD, decoded.size, frozenset([target]), addresses)


def _list(decoded: capstone.CsInsn) -> Instruction:
    registers = [operand.reg for operand in decoded.operands]
    if decoded.id in BASED_LISTS:
        registers = registers[1:]
    words = sum(2 if decoded.reg_name(register).startswith("d") else 1 for register in registers)
    branches = arm.ARM_REG_PC in registers and _is_certain(decoded)
    return Instruction(Kind.MULTIPLE, decoded.size, words=words, always_branches=branches)


def _arithmetic(decoded: capstone.CsInsn) -> Instruction:
    read, written = decoded.regs_access()
    results, operands = frozenset(written), frozenset(read)
    if decoded.id in DIVISIONS:
        return Instruction(Kind.DIVIDE, decoded.size, results)
    if not decoded.mnemonic.startswith("v"):
        branches = arm.ARM_REG_PC in results and _is_certain(decoded)
        kind = MULTIPLICATIONS.get(decoded.id, Kind.ALU)
        return Instruction(kind, decoded.size, results, always_branches=branches)
    kind = Kind.VFP
    if decoded.id in VFP_MULTIPLY_ADDS:
        kind = Kind.VFP_MULTIPLY_ADD
    elif decoded.id in VFP_DIVISIONS:
        kind = Kind.VFP_DIVIDE
    return Instruction(kind, decoded.size, results, operands=operands)


def _is_certain(decoded: capstone.CsInsn) -> bool:
    if decoded.id in _ids("CBZ CBNZ"):
        return False
    return decoded.cc in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)
