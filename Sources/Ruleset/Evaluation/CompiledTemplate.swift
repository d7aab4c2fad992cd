// What a CT rule asks of tracking in the form the tracker takes it. For the firewall, once per packet
// that met such a rule.

import Conntrack
import Wire

/// One CT rule's template: all of it but a zone that the packet's mark says.
struct CompiledTemplate: BitwiseCopyable, Sendable {
  private var fixed = TrackingTemplate()
  private var takesMark = false

  /// - Parameter policy: the number of the policy that `options` names.
  init(_ options: TrackingOptions, policy: Int?) {
    switch options.zone {
    case .number(let number): fixed.zone.id = number
    case .mark: takesMark = true
    case nil: break
    }
    fixed.zone.direction = options.zoneDirection
    if let policy { fixed.timeoutPolicy = UInt16(policy + 1) }
    if options.events != nil || options.expectationEvents != nil {
      let masks = (options.events ?? []).compactMap { ConnectionEventMask.named[$0] }
      fixed.events = masks.reduce([]) { $0.union($1) }
    }
  }

  func template(mark: UInt32) -> TrackingTemplate {
    var template = fixed
    // A zone has sixteen bits.
    if takesMark { template.zone.id = UInt16(truncatingIfNeeded: mark) }
    // Zone 0 is what everyone is in, both ways.
    if template.zone.id == 0 { template.zone.direction = .both }
    return template
  }
}

extension ConnectionEventMask {
  /// By the names of `--ctevents`.
  fileprivate static let named: [String: Self] = [
    "new": .new, "related": .related, "destroy": .destroy, "reply": .reply, "assured": .assured,
    "protoinfo": .protocolState, "helper": .helper, "mark": .mark,
    "natseqinfo": .sequenceAdjustment, "secmark": .securityMark,
  ]
}
