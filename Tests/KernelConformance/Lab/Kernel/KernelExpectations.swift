// The expectations of the kernel under test, as ctnetlink lists and tells them.

#if os(Linux)
  import Conntrack
  import Wire

  extension KernelTable {
    /// linux/netfilter/nfnetlink.h: NFNL_SUBSYS_CTNETLINK_EXP << 8 and IPCTNL_MSG_EXP_NEW, _GET.
    static let newExpectation: UInt16 = 0x200
    private static let getExpectations: UInt16 = 0x201

    /// All expectations of a family.
    func expectations(_ family: AddressFamily) throws -> [Expectation] {
      let messages = try dump(
        NetlinkBuilder.message(
          KernelTable.getExpectations, flags: 0x301, family: family.rawValue, []))
      return messages.compactMap {
        $0.type == KernelTable.newExpectation ? KernelTable.expectation($0.attributes) : nil
      }
    }

    /// An expectation as its attributes tell it; nil where its helper is none that Weir knows.
    static func expectation(_ attributes: NetlinkAttributes) -> Expectation? {
      guard let name = attributes.text(6),
        let helper = HelperKind.allCases.first(where: { $0.name == name })
      else { return nil }
      let mask = tuple(attributes.nest(3))
      var expectation = Expectation(
        tuple: tuple(attributes.nest(2)), sourceMask: mask.source,
        sourcePortMask: mask.sourcePort, master: tuple(attributes.nest(1)), helper: helper)
      expectation.timeoutNanoseconds = Int64(attributes.number(4) ?? 0) * 1_000_000_000
      expectation.zone = UInt16(attributes.number(7) ?? 0)
      expectation.flags = ExpectationFlags(rawValue: UInt8(attributes.number(8) ?? 0))
      expectation.classNumber = UInt8(attributes.number(9) ?? 0)
      return expectation
    }
  }
#endif

extension Expectation {
  /// The same but for up to a second of time left.
  func isLike(_ other: Expectation) -> Bool {
    var mine = other
    mine.timeoutNanoseconds = timeoutNanoseconds
    mine.id = id
    let seconds = [self, other].map { $0.timeoutNanoseconds / 1_000_000_000 }
    return self == mine && abs(seconds[0] - seconds[1]) <= 1
  }
}
