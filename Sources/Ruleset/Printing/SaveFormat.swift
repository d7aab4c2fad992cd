// Rules as `iptables-save` prints them.

import Wire

extension RuleSpecification {
  /// `-A CHAIN …` as `iptables-save` prints it.
  public func text(chain: String, family: AddressFamily) -> String {
    "-A \(chain)"
  }
}
