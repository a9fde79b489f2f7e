# What BIG-IP knows: events, iRules commands and where they are valid, and the Tcl 8.4.6 that is left of Tcl.
#
# In: nothing. Out: tables that the static checker, the interpreters and the proxy read. Every row of a command or event leads to
# the page of F5's that documents it (::tables::page). Where a page names no events, or could not be read to its end, the row
# is narrower than BIG-IP may be: what is not known to be allowed is refused. Never a list of all iRules commands: one that is
# not here is refused, and the message says so.

namespace eval ::tables {
    # Side of the connection an event runs on: what IP::local_addr, IP::remote_addr and TCP::local_port mean in it.
    # `none`: no connection at all. The order is the one in which they occur.
    variable events {
        RULE_INIT             none
        CLIENT_ACCEPTED       client
        CLIENTSSL_HANDSHAKE   client
        HTTP_REQUEST          client
        HTTP_REQUEST_DATA     client
        CACHE_REQUEST         client
        CACHE_RESPONSE        client
        LB_SELECTED           client
        LB_FAILED             client
        SERVER_CONNECTED      server
        HTTP_REQUEST_SEND     server
        HTTP_REQUEST_RELEASE  server
        HTTP_RESPONSE         server
        HTTP_RESPONSE_DATA    server
        HTTP_RESPONSE_RELEASE client
        SERVER_CLOSED         server
        CLIENT_CLOSED         client
    }

    # Groups of events that rows name.
    variable groups
    array set groups {
        ANY      {RULE_INIT CLIENT_ACCEPTED CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST CACHE_RESPONSE
                  LB_SELECTED LB_FAILED SERVER_CONNECTED HTTP_REQUEST_SEND HTTP_REQUEST_RELEASE HTTP_RESPONSE
                  HTTP_RESPONSE_DATA HTTP_RESPONSE_RELEASE SERVER_CLOSED CLIENT_CLOSED}
        FLOW     {CLIENT_ACCEPTED CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST CACHE_RESPONSE
                  LB_SELECTED LB_FAILED SERVER_CONNECTED HTTP_REQUEST_SEND HTTP_REQUEST_RELEASE HTTP_RESPONSE
                  HTTP_RESPONSE_DATA HTTP_RESPONSE_RELEASE SERVER_CLOSED CLIENT_CLOSED}
        REQUEST  {HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST LB_SELECTED LB_FAILED SERVER_CONNECTED HTTP_REQUEST_SEND
                  HTTP_REQUEST_RELEASE}
        HEAD     {HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST CACHE_RESPONSE SERVER_CONNECTED HTTP_REQUEST_SEND
                  HTTP_REQUEST_RELEASE HTTP_RESPONSE HTTP_RESPONSE_DATA HTTP_RESPONSE_RELEASE}
        BODY     {HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST CACHE_RESPONSE HTTP_RESPONSE HTTP_RESPONSE_DATA}
        ANSWER   {HTTP_RESPONSE HTTP_RESPONSE_DATA HTTP_RESPONSE_RELEASE}
        SERVER   {SERVER_CONNECTED HTTP_REQUEST_SEND HTTP_REQUEST_RELEASE HTTP_RESPONSE HTTP_RESPONSE_DATA
                  HTTP_RESPONSE_RELEASE SERVER_CLOSED}
        CACHE    {CACHE_REQUEST CACHE_RESPONSE}
    }

    # command, first TMOS that has it, events, subcommands (- : the first argument is not one), why the events are so:
    # `page`: its VALID DURING or the event's list of commands says so; `strict`: narrower than that, or it does not say.
    variable commands {
        HTTP::close          9.0  {REQUEST CACHE ANSWER} - strict
        HTTP::collect        9.0  {HTTP_REQUEST HTTP_REQUEST_DATA HTTP_RESPONSE HTTP_RESPONSE_DATA} - strict
        HTTP::header         9.0  HEAD {value values names count at exists insert is_keepalive is_redirect replace remove} page
        HTTP::host           9.0  {REQUEST CACHE_RESPONSE} - page
        HTTP::is_keepalive   9.0  HEAD - page
        HTTP::is_redirect    9.0  {HTTP_RESPONSE HTTP_RESPONSE_DATA} - strict
        HTTP::method         9.0  REQUEST - strict
        HTTP::path           9.0  REQUEST - strict
        HTTP::payload        9.0  BODY - page
        HTTP::query          9.0  REQUEST - strict
        HTTP::redirect       9.0  {HTTP_REQUEST HTTP_REQUEST_DATA HTTP_RESPONSE HTTP_RESPONSE_DATA LB_FAILED} - strict
        HTTP::release        9.0  ANY - page
        HTTP::request        9.0  {HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST LB_FAILED} - strict
        HTTP::request_num    9.0  {REQUEST CACHE_RESPONSE ANSWER} - page
        HTTP::respond        9.0  {HTTP_REQUEST HTTP_REQUEST_DATA CACHE_REQUEST CACHE_RESPONSE HTTP_RESPONSE
                                   HTTP_RESPONSE_DATA LB_FAILED} - strict
        HTTP::retry          9.0  {HTTP_RESPONSE HTTP_RESPONSE_DATA} - page
        HTTP::status         9.0  ANSWER - strict
        HTTP::uri            9.0  {REQUEST CACHE_RESPONSE} - page
        HTTP::version        9.0  {REQUEST CACHE_RESPONSE ANSWER} - page
        HTTP2::active        12.0 {REQUEST ANSWER} - strict
        HTTP2::version       12.0 {REQUEST ANSWER} - strict
        HSL::open            10.1 FLOW - strict
        HSL::send            10.1 FLOW - strict
        IP::client_addr      9.0  FLOW - strict
        IP::local_addr       9.0  FLOW - strict
        IP::remote_addr      9.0  FLOW - strict
        IP::server_addr      9.0  SERVER - strict
        TCP::client_port     9.0  FLOW - strict
        TCP::local_port      9.0  FLOW - strict
        TCP::remote_port     9.0  FLOW - strict
        TCP::server_port     9.0  SERVER - strict
        SSL::cert            9.0  {CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA} - strict
        SSL::cipher          9.0  {CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA} {name version bits} strict
        SSL::sni             12.1 {CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA} {name required} strict
        SSL::verify_result   9.0  {CLIENTSSL_HANDSHAKE HTTP_REQUEST HTTP_REQUEST_DATA} - strict
        PROFILE::exists      9.0  FLOW - strict
        LB::server           9.0  {REQUEST ANSWER SERVER_CLOSED} {pool name addr port} strict
        TMM::cmp_count       9.4  ANY - strict
        TMM::cmp_unit        9.4  ANY - strict
        CRYPTO::sign         11.1 ANY - strict
        URI::decode          9.0  FLOW - strict
        b64decode            9.0  ANY - strict
        b64encode            9.0  ANY - strict
        class                10.0 ANY {exists size get match lookup element names type} strict
        clientside           9.0  FLOW - strict
        serverside           9.0  FLOW - strict
        event                9.0  FLOW - strict
        log                  9.0  ANY - strict
        pool                 9.0  {CLIENT_ACCEPTED HTTP_REQUEST HTTP_REQUEST_DATA LB_FAILED} - strict
        reject               9.0  FLOW - strict
        virtual              9.4  FLOW {name} strict
        after                10.0 FLOW {cancel info} strict
        call                 11.4 ANY - strict
        crc32                9.0  ANY - strict
        md5                  9.0  ANY - strict
        sha1                 9.0  ANY - strict
        sha256               11.0 ANY - strict
    }

    # Tcl's own commands that are left in an iRule, with the subcommands and options Tcl 8.4.6 has. Tcl's manual of 8.4:
    # https://www.tcl.tk/man/tcl8.4/TclCmd/ ; which are disabled on BIG-IP: https://clouddocs.f5.com/api/irules/Commands.html
    # Form: command {kind words}: kind `sub` (the first word is one of these), `opt` (words that begin with - are of these), `any`.
    variable tcl {
        append   {any {}}
        array    {sub {anymore donesearch exists get names nextelement set size startsearch unset}}
        binary   {sub {format scan}}
        break    {any {}}
        catch    {any {}}
        clock    {sub {clicks format scan seconds}}
        concat   {any {}}
        continue {any {}}
        error    {any {}}
        expr     {any {}}
        for      {any {}}
        foreach  {any {}}
        format   {any {}}
        if       {any {}}
        incr     {any {}}
        info     {sub {exists}}
        join     {any {}}
        lappend  {any {}}
        lindex   {any {}}
        linsert  {any {}}
        list     {any {}}
        llength  {any {}}
        lrange   {any {}}
        lreplace {any {}}
        lsearch  {opt {-all -ascii -decreasing -dictionary -exact -glob -increasing -inline -integer -not -real -regexp
                       -sorted -start}}
        lset     {any {}}
        lsort    {opt {-ascii -decreasing -dictionary -increasing -index -integer -real -unique}}
        proc     {any {}}
        regexp   {opt {-about -all -expanded -indices -inline -line -lineanchor -linestop -nocase -start --}}
        regsub   {opt {-all -expanded -line -lineanchor -linestop -nocase -start --}}
        return   {opt {-code -errorcode -errorinfo}}
        scan     {any {}}
        set      {any {}}
        split    {any {}}
        string   {sub {bytelength compare equal first index is last length map match range repeat replace tolower totitle
                       toupper trim trimleft trimright wordend wordstart}}
        switch   {opt {-exact -glob -regexp --}}
        unset    {opt {-nocomplain --}}
        while    {any {}}
    }

    # Classes of `string is` in Tcl 8.4.6.
    variable string_is {alnum alpha ascii boolean control digit double false graph integer lower print punct space true
        upper wordchar xdigit}

    # Functions of expr in Tcl 8.4.6.
    variable functions {abs acos asin atan atan2 ceil cos cosh double exp floor fmod hypot int log log10 pow rand round
        sin sinh sqrt srand tan tanh wide}

    # What later Tcl has, and since when: for a message that helps.
    variable later {
        {*} 8.5 in 8.5 ni 8.5 ** 8.5 dict 8.5 lassign 8.5 lrepeat 8.5 lreverse 8.5 apply 8.5 chan 8.5 unload 8.5
        try 8.6 throw 8.6 tailcall 8.6 yield 8.6 yieldto 8.6 coroutine 8.6 lmap 8.6 zlib 8.6 oo::class 8.6 oo::define 8.6
        oo::object 8.6 next 8.6 self 8.6 my 8.6
    }

    # What Tcl 8.4.6 has and BIG-IP has disabled (https://clouddocs.f5.com/api/irules/Commands.html).
    variable disabled {auto_execok auto_import auto_load auto_mkindex auto_qualify auto_reset bgerror cd close encoding eof
        exec exit fblocked fconfigure fcopy file fileevent filename flush gets glob global history http interp load
        memory namespace open package pid puts pwd read registry rename seek socket source tell time trace
        unknown update uplevel upvar variable vwait}

    # What an iRule may use on BIG-IP, but nobody can check before it runs.
    variable unchecked {eval subst}

    # Operators that F5 adds to expr. The bench does not run them, so they are refused with their own words.
    variable f5_operators {contains starts_with ends_with equals matches matches_glob matches_regex and or not}

    variable side
    array set side $events
    variable row
    foreach {name since where subs basis} $commands {
        set valid {}
        foreach part $where {
            if {[info exists groups($part)]} { lappend valid {*}$groups($part) } else { lappend valid $part }
        }
        set row($name) [list $since [lsort -unique $valid] [expr {$subs eq "-" ? "" : $subs}] $basis]
    }
    variable core
    array set core $tcl
    variable newer
    array set newer $later

    # The page of F5's reference about a command or an event.
    proc page {name} {
        variable side
        set file [string map {:: _} $name]
        if {[info exists side($name)]} {
            return https://clouddocs.f5.com/cli/tmsh-reference/v13/modules/ltm/ltm_rule_event_$file.html
        }
        return https://clouddocs.f5.com/cli/tmsh-reference/v13/modules/ltm/ltm_rule_command_$file.html
    }

    # Is the command valid in the event?
    proc valid {command event} {
        variable row
        expr {$event in [lindex $row($command) 1]}
    }

    # Is TMOS `have` as new as `since`? Both as 16.1.4.
    proc as_new {have since} {
        expr {[package vcompare $have $since] >= 0}
    }
}
