// The whole way of one packet (`--packet N`).
import Firewall

public struct WayText: Sendable {
  let style: TextStyle
  let startNanoseconds: Int64
  public init(style: TextStyle = .plain, startNanoseconds: Int64) {
    self.style = style
    self.startNanoseconds = startNanoseconds
  }
  public func append(_ report: PacketReport, _ firewall: borrowing Firewall, to text: inout [UInt8]) {
  }
}
