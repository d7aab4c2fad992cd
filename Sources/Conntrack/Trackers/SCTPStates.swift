// What each kind of SCTP chunk does to an association's state: one literal table, laid out so that a
// reader finds the answer by looking. Learnt from RFC 9260 and by asking Linux 6.18, chunk by chunk.

import Wire

/// What a chunk is, for the state table.
enum SCTPChunkKind: UInt8, BitwiseCopyable, CaseIterable {
  case initiation
  case initiationAck
  case abort
  case shutdown
  case shutdownAck
  case error
  case cookieEcho
  case cookieAck
  case shutdownComplete
  case heartbeat
  case heartbeatAck
  /// DATA, SACK and every type that leaves an association where it is.
  case other

  @inline(__always)
  init(_ type: UInt8) {
    switch type {
    case SCTPChunkType.initiation: self = .initiation
    case SCTPChunkType.initiationAck: self = .initiationAck
    case SCTPChunkType.abort: self = .abort
    case SCTPChunkType.shutdown: self = .shutdown
    case SCTPChunkType.shutdownAck: self = .shutdownAck
    case SCTPChunkType.error: self = .error
    case SCTPChunkType.cookieEcho: self = .cookieEcho
    case SCTPChunkType.cookieAck: self = .cookieAck
    case SCTPChunkType.shutdownComplete: self = .shutdownComplete
    case SCTPChunkType.heartbeat: self = .heartbeat
    case SCTPChunkType.heartbeatAck: self = .heartbeatAck
    default: self = .other
    }
  }

  /// Whether the chunk must be its packet's only one (RFC 9260 section 6.10).
  @inline(__always)
  var standsAlone: Bool {
    switch self {
    case .initiation, .initiationAck, .shutdownComplete: true
    default: false
    }
  }

  /// Whether the chunk must be its packet's first one (RFC 9260 sections 5.1 and 6.10).
  @inline(__always)
  var comesFirst: Bool { self == .cookieEcho || self == .cookieAck }

  /// Whether the chunk's own rule says what its packet's verification tag must be (RFC 9260 section
  /// 8.5.1), and not the general one.
  @inline(__always)
  var hasOwnTagRule: Bool {
    switch self {
    case .initiation, .abort, .shutdownAck, .shutdownComplete, .cookieEcho, .heartbeat,
      .heartbeatAck:
      true
    default: false
    }
  }
}

enum SCTPStates {
  private static let cl: SCTPState? = .closed
  private static let cw: SCTPState? = .cookieWait
  private static let ce: SCTPState? = .cookieEchoed
  private static let es: SCTPState? = .established
  private static let ss: SCTPState? = .shutdownSent
  private static let sr: SCTPState? = .shutdownReceived
  private static let sa: SCTPState? = .shutdownAckSent
  private static let hs: SCTPState? = .heartbeatSent
  private static let ha: SCTPState? = .heartbeatAcked
  /// Invalid.
  private static let iv: SCTPState? = nil

  private static let columns = 12

  /// One row a state, one column a kind of chunk, first for chunks of the original direction.
  private static let original: InlineArray<120, SCTPState?> = [
    //      INIT  ABORT  SH_ACK  C_ECHO  SH_COMP HB_ACK
    //        INIT_ACK SHUTDOWN ERROR  C_ACK   HEARTBEAT other    in state:
    cl, cl, iv, cl, sa, cl, cl, iv, iv, hs, cl, iv,  // NONE: an INIT opens; a HEARTBEAT and its
    //        kin come of another path of an association; DATA alone is never taken up
    cl, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl,  // CLOSED: only the answer leads on
    cw, cw, cl, cw, cw, cw, ce, cw, cw, cw, cw, cw,  // COOKIE_WAIT: the cookie goes back
    ce, ce, cl, ce, ce, ce, ce, es, ce, ce, ce, ce,  // COOKIE_ECHOED: after an INIT from the other
    //        side, it is this one's part to acknowledge the cookie
    es, es, cl, ss, es, es, es, es, es, es, es, es,  // ESTABLISHED: an INIT may be a restart, and
    //        keeps the state
    cl, ss, cl, ss, sa, ss, ss, ss, ss, ss, ss, ss,  // SHUTDOWN_SENT: who is leaving may begin anew
    cl, sr, cl, sr, sa, sr, sr, sr, sr, sr, sr, sr,  // SHUTDOWN_RECD: the same
    sa, sa, cl, sa, sa, sa, sa, sa, cl, sa, sa, sa,  // SHUTDOWN_ACK_SENT: the last word
    cw, cl, cl, cl, sa, cl, cl, cl, cl, hs, hs, hs,  // HEARTBEAT_SENT: the path is not confirmed
    ha, ha, cl, ss, ha, ha, ha, ha, ha, ha, ha, ha,  // HEARTBEAT_ACKED: in listings of old kernels
  ]

  /// The same for chunks of the reply direction.
  private static let reply: InlineArray<120, SCTPState?> = [
    //      INIT  ABORT  SH_ACK  C_ECHO  SH_COMP HB_ACK
    //        INIT_ACK SHUTDOWN ERROR  C_ACK   HEARTBEAT other    in state:
    iv, iv, iv, iv, iv, iv, iv, iv, iv, iv, iv, iv,  // NONE: nothing can be a reply yet
    cl, cw, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl,  // CLOSED: the answer to the INIT
    cw, cw, cl, cw, cw, cw, ce, cw, cw, cw, cw, cw,  // COOKIE_WAIT: this side's cookie, if it sent
    //        an INIT as well
    ce, ce, cl, ce, ce, cl, ce, es, ce, ce, ce, ce,  // COOKIE_ECHOED: the cookie is accepted, or
    //        an ERROR says that it is too old
    es, es, cl, sr, es, es, es, es, es, es, es, es,  // ESTABLISHED
    ss, ss, cl, ss, sa, ss, ss, ss, ss, ss, ss, ss,  // SHUTDOWN_SENT
    sr, sr, cl, sr, sa, sr, sr, sr, sr, sr, sr, sr,  // SHUTDOWN_RECD
    sa, sa, cl, sa, sa, sa, sa, sa, cl, sa, sa, sa,  // SHUTDOWN_ACK_SENT
    iv, iv, iv, iv, iv, iv, iv, iv, iv, hs, es, hs,  // HEARTBEAT_SENT: the path works
    ha, ha, cl, sr, ha, ha, ha, ha, ha, ha, ha, ha,  // HEARTBEAT_ACKED
  ]

  /// The state after a chunk; nil where the chunk is invalid.
  /// - Complexity: O(1): one load.
  @inline(__always)
  static func next(
    _ direction: Direction, _ state: SCTPState, _ chunk: SCTPChunkKind
  ) -> SCTPState? {
    let cell = Int(state.rawValue) * columns + Int(chunk.rawValue)
    return direction == .original ? original[cell] : reply[cell]
  }
}
