// The kernel's expectations, as libnetfilter_conntrack holds them. For `weir conntrack --kernel`.

import CNetfilterConntrack
import Conntrack
import Glibc
import TableControl
import Wire

/// An expectation of the library's.
@safe final class ExpectationObject {
  // The library's own object, freed in deinit.
  let pointer: OpaquePointer

  init() throws {
    guard let pointer = unsafe nfexp_new() else { throw TableError.outOfMemory }
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe nfexp_destroy(pointer) }

  /// Copies a tuple in; the library takes a copy.
  func set(_ tuple: TupleRequest, _ family: AddressFamily, _ attribute: nf_expect_attr) throws {
    let object = try ConnectionObject()
    object.setOriginal(tuple, family)
    unsafe nfexp_set_attr(pointer, attribute, UnsafeRawPointer(object.pointer))
  }

  func build(_ request: NetlinkRequest) throws {
    if unsafe nfexp_nlmsg_build(request.header, pointer) < 0 { throw TableError(number: errno) }
  }

  func parse(_ message: NetlinkMessage) -> Bool {
    unsafe nfexp_nlmsg_parse(message.header, pointer) == 0
  }

  private func tuple(_ attribute: nf_expect_attr) -> Tuple? {
    guard unsafe nfexp_attr_is_set(pointer, attribute) > 0,
      let bytes = unsafe nfexp_get_attr(pointer, attribute)
    else { return nil }
    // It is the expectation's own connection object, which lives as long as this. Not whole: `nfct_clone` of
    // one with a helper's name reads where there is nothing.
    return withExtendedLifetime(self) {
      unsafe ConnectionObject(borrowing: OpaquePointer(bytes)).tuple(.original)
    }
  }

  var expectation: Expectation? {
    guard let tuple = tuple(ATTR_EXP_EXPECTED), let master = self.tuple(ATTR_EXP_MASTER) else {
      return nil
    }
    let mask = self.tuple(ATTR_EXP_MASK)
    var expectation = Expectation(
      tuple: tuple, sourceMask: mask?.source ?? .any, sourcePortMask: mask?.sourcePort ?? 0,
      master: master, helper: .none)
    if unsafe nfexp_attr_is_set(pointer, ATTR_EXP_HELPER_NAME) > 0,
      let name = unsafe nfexp_get_attr(pointer, ATTR_EXP_HELPER_NAME)
    {
      // The library ends it with a zero.
      expectation.foreignHelperName = unsafe String(
        cString: name.assumingMemoryBound(to: CChar.self))
    }
    expectation.timeoutNanoseconds =
      unsafe Int64(nfexp_get_attr_u32(pointer, ATTR_EXP_TIMEOUT)) * 1_000_000_000
    expectation.zone = unsafe nfexp_get_attr_u16(pointer, ATTR_EXP_ZONE)
    expectation.flags = unsafe ExpectationFlags(
      rawValue: UInt8(truncatingIfNeeded: nfexp_get_attr_u32(pointer, ATTR_EXP_FLAGS)))
    expectation.classNumber = unsafe UInt8(
      truncatingIfNeeded: nfexp_get_attr_u32(pointer, ATTR_EXP_CLASS))
    return expectation
  }
}

extension KernelTable {
  private static let expectations = Int32(NFNL_SUBSYS_CTNETLINK_EXP)

  private func request(
    _ type: IPCTNL_EXP, flags: Int32, family: AddressFamily,
    _ build: (NetlinkRequest) throws -> Void = { _ in }
  ) throws {
    try socket.send(
      subsystem: KernelTable.expectations, type: Int(type.rawValue), flags: flags,
      family: UInt8(truncatingIfNeeded: family.rawValue), build)
  }

  private typealias IPCTNL_EXP = ctnl_exp_msg_types

  public func listExpectations(
    _ family: AddressFamily, _ each: (Expectation) throws -> Void
  ) throws {
    try request(IPCTNL_MSG_EXP_GET, flags: NLM_F_DUMP, family: family)
    try socket.answer { message in
      let object = try ExpectationObject()
      if object.parse(message), let expectation = object.expectation { try each(expectation) }
    }
  }

  public func getExpectation(_ request: ExpectationRequest) throws -> Expectation {
    let object = try ExpectationObject()
    try object.set(request.expected, request.family, ATTR_EXP_MASTER)
    try self.request(
      IPCTNL_MSG_EXP_GET, flags: NLM_F_ACK, family: request.family, object.build)
    var found: Expectation?
    try socket.answer { message in
      let object = try ExpectationObject()
      if object.parse(message) { found = object.expectation }
    }
    guard let found else { throw TableError.noSuchEntry }
    return found
  }

  public func createExpectation(_ request: ExpectationRequest) throws {
    let object = try ExpectationObject()
    var expected = request.expected
    expected.protocolNumber = request.mask.protocolNumber
    try object.set(expected, request.family, ATTR_EXP_EXPECTED)
    try object.set(request.mask, request.family, ATTR_EXP_MASK)
    try object.set(request.master, request.family, ATTR_EXP_MASTER)
    if let seconds = request.timeoutSeconds {
      unsafe nfexp_set_attr_u32(object.pointer, ATTR_EXP_TIMEOUT, seconds)
    }
    try self.request(
      IPCTNL_MSG_EXP_NEW, flags: NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE, family: request.family,
      object.build)
    try socket.answer()
  }

  public func deleteExpectation(_ request: ExpectationRequest) throws {
    let object = try ExpectationObject()
    try object.set(request.expected, request.family, ATTR_EXP_EXPECTED)
    try self.request(
      IPCTNL_MSG_EXP_DELETE, flags: NLM_F_ACK, family: request.family, object.build)
    try socket.answer()
  }

  public func flushExpectations() throws {
    try request(IPCTNL_MSG_EXP_DELETE, flags: NLM_F_ACK, family: .ipv4)
    try socket.answer()
  }
}
