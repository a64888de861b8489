package main

import (
	"strings"
	"testing"
)

// TestPlatformCommands is the operator's way with invitations and with a platform.
func TestPlatformCommands(t *testing.T) {
	t.Parallel()
	settings := []string{"SEALSMITH_DIR=" + t.TempDir(), "SEALSMITH_PUBLIC_URL=https://seal.example"}
	found := map[string]string{}
	types(t, settings, found,
		command{"platforms instructions --lms Moodle", 0, `(?s)^Moodle: Site administration.*\n  Initiate login URL +https://seal\.example/lti/login\n.*  --client-id +Client ID\n`},
		command{"platforms instructions --lms d2l", 0, `(?m)^  OpenID Connect Login URL +https://seal\.example/lti/login$`},
		command{"platforms instructions --lms olat", 1, `there are instructions for moodle, canvas, `},
		command{"platforms invite", 1, `there is no organisation yet`},
		command{"organisations add polder --name Polder --country NL --identifier NTRNL-12345678", 0, `Added`},
		command{"platforms invitations", 0, `^No invitation is open`},
		command{"platforms invite --days 91", 1, `--days must be 1 to 90`},
		command{"platforms invite --name Arts", 0, `(?s)^Invitation of polder, for one LMS, good for 7 days\..*\n  https://seal\.example/lti/register/[A-Za-z0-9_-]{43}\n.*Moodle +Site administration.*Open edX +by hand`},
		command{"platforms invitations", 0, `(?m)^([0-9a-f]{16}) +Arts +operator +20`},
		command{"platforms invitations --revoke nonsense", 1, `open invitation nonsense: not found`},
		command{"platforms invitations --revoke $WORD", 0, `^Withdrew invitation `},
		command{"platforms invitations", 0, `^No invitation is open`},

		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + strings.Replace(lmsFlags, "https://lms.example/jwks", "https://keys.example/jwks", 1), 0, `(?s)^Platform (\S+) of polder\n.*on other hosts than the issuer +keys\.example\n`},
		command{"platforms confirm $WORD", 1, `is active`},
		command{"platforms pause $WORD", 0, `^Paused platform `},
		command{"platforms list", 0, `paused\n$`},
		command{"platforms pause $WORD", 1, `is paused`},
		command{"platforms resume $WORD", 0, `is active again`},
		command{"platforms resume nonsense", 1, `platform nonsense of polder: .*not found`},
		command{"platforms approve $WORD --deployment 106:8a,b", 0, `^Approved deployment 106:8a,b\.\n$`},
		command{"platforms set $WORD --skew 181", 1, `0 to 180 seconds`},
		command{"platforms set $WORD --private-host .example", 1, `named whole`},
		command{"platforms set $WORD --deployments never", 2, `--deployments`},
		command{
			"platforms set $WORD --host .cdn.example --host b.example --skew 90 --algorithm ES256 --deployments ask --private-host lms.intra --trusted-azp x", 0,
			`\{"algorithms":\["ES256"\],"clock_skew_s":90,"trusted_azp":\["x"\],"hosts":\["\.cdn\.example","b\.example"\],"private_hosts":\["lms\.intra"\],"deployments":"ask"\}`,
		},
		command{"platforms set $WORD --host= --skew 0 --deployments default", 0, `\{"algorithms":\["ES256"\],"trusted_azp":\["x"\],"private_hosts":\["lms\.intra"\]\}`},
		command{"platforms set $WORD --private-host= --algorithm= --trusted-azp=", 0, `: none\n$`},
		command{"platforms show $WORD", 0, `(?m)^  deployments +1, 106:8a,b$`},
	)
}
