from export.cli.main import main

raise SystemExit(main())
